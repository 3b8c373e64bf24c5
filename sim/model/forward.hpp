// The forward pass: any number of sequences at once, from position 0 or continuing a cache.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "sim/model/attention.hpp"
#include "sim/model/hooks.hpp"
#include "sim/model/model.hpp"
#include "sim/model/tensor.hpp"

namespace lowbit::model {

/// New tokens of one sequence. With a cache they continue what it holds; without one they are a text of their own.
struct TokenSpan {
  std::span<const std::int32_t> tokens;
  KvCache* cache = nullptr;
};

/// What the backward pass needs of the forward pass and does not compute again.
struct Tape {
  struct Layer {
    Matrix input, q, k, v, attn_output, middle, gate, up;
    Matrix attn_input, mlp_input;   ///< where maps have changed them
    Matrix q_raw, k_raw;            ///< before the q and k norms, where there are any
    Matrix linear_input[kLinears];  ///< where maps made it differ from the tensor that the layer reads
  };
  std::vector<Layer> layers;
  Matrix residual;  ///< before the final norm
  Matrix output;    ///< after it
  std::vector<Sequence> sequences;
  std::vector<std::int64_t> positions;
};

struct PassResult {
  Matrix output;  ///< "model.norm.output": rows of all sequences, one after the other
  std::vector<Sequence> sequences;
  std::vector<std::int64_t> positions;    ///< of each row
  std::vector<AttentionStats> attention;  ///< per layer
};

/// Runs the model with its hooks over new tokens. float32, sums of norms and softmax in double. Where hooks replace the
/// cache, sequences without one get a cache of their own for this pass. Error: no tokens, a token outside the
/// vocabulary, a position beyond the model's context, `tape` together with a cache or a pass control. The bits depend
/// on how the tokens are divided into passes, never on threads.
PassResult forward(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads, Tape* tape = nullptr);

/// 256 x 49152 logits are 50 MB.
inline constexpr std::size_t kLogitRows = 256;

/// Logits of a pass in pieces of `rows` rows. Maps and observers of lm_head act on the way: on its input sequence by
/// sequence, on its output piece by piece. Hooks, pass and threads must outlive it. The calling thread keeps the memory of
/// its logits for the next one.
class LogitPieces {
 public:
  LogitPieces(const Hooks& hooks, const PassResult& pass, Threads& threads, std::size_t rows = kLogitRows);
  ~LogitPieces();
  LogitPieces(const LogitPieces&) = delete;
  LogitPieces& operator=(const LogitPieces&) = delete;
  /// The input of lm_head, after its maps.
  ConstRows input() const { return input_; }
  std::size_t count() const;
  std::size_t first_row(std::size_t piece) const;
  /// n x vocabulary; valid until the next call.
  Rows compute(std::size_t piece);

 private:
  const Hooks& hooks_;
  const PassResult& pass_;
  Threads& threads_;
  std::size_t rows_;
  Matrix own_input_, logits_;
  ConstRows input_;
};

/// consume(first row, logits) for each piece in order.
void for_each_logits(const Hooks& hooks, const PassResult& pass, Threads& threads,
                     const std::function<void(std::size_t, Rows)>& consume);

/// Logits of the last token of each sequence.
Matrix last_logits(const Hooks& hooks, const PassResult& pass, Threads& threads);

}  // namespace lowbit::model
