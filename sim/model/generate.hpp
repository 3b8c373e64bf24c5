// Generation token by token through a cache.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/model/forward.hpp"
#include "sim/rng.hpp"

namespace lowbit::model {

/// What a step of a generation knows.
struct Step {
  std::size_t index = 0;                 ///< 0: the pass over the prompt
  std::int64_t position = 0;             ///< of the token that this step predicts
  std::span<const std::int32_t> tokens;  ///< prompt and everything generated so far
};

/// Decides step by step: other hooks (precision, ranks) on the same cache, changed logits, an early end.
class StepControl {
 public:
  virtual ~StepControl() = default;
  /// Hooks of the pass of this step; `usual` are those that generate() was called with.
  virtual const Hooks& hooks(const Step& step, const Hooks& usual);
  /// Sees, and may change, the logits (vocabulary values) before a token is chosen. False: stop here.
  virtual bool logits(const Step& step, std::span<float> values);
  /// Sees the chosen token before it becomes part of the text, stop tokens too. False: the text ends without it.
  virtual bool chosen(const Step& step, std::int32_t token);
};

struct GenerateOptions {
  std::size_t max_tokens = 64;
  double temperature = 0;                 ///< 0: the likeliest token, the lowest number among equals
  std::uint64_t seed = 1;                 ///< of the draws
  std::vector<std::int32_t> stop_tokens;  ///< end the text; not part of it
};

/// Continues `prompt` in `cache` (which may hold earlier tokens) and returns the new tokens. `emit`, where given, sees
/// each token at once. Error: what forward refuses; an empty prompt.
std::vector<std::int32_t> generate(const Hooks& hooks, KvCache& cache, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options, Threads& threads, StepControl* control = nullptr,
                                   const std::function<void(std::int32_t)>& emit = {});

/// Draws from softmax(logits / temperature), in double; temperature 0: the likeliest. NaN logits are never chosen
/// unless all are.
std::int32_t choose_token(std::span<const float> logits, double temperature, Rng& rng);

}  // namespace lowbit::model
