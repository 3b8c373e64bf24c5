// Queries, keys and values of one KV head: drawn, from a file of captured tensors, or from a model.
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "sim/kv/kv.hpp"
#include "sim/kv/methods/method.hpp"

namespace lowbit::kvlinc {

using kv::ConstRows;
using kv::Matrix;
using kv::Rows;

/// What a method sees of one KV head and what its errors are measured on.
struct Head {
  std::size_t d = 0;
  std::int64_t first_position = 0;
  Matrix k_pre, k, v;              ///< tokens x d, at first_position, first_position + 1, ...
  std::vector<Matrix> q;           ///< for each query head of the group: the last queries, after RoPE
  Matrix fit_k_pre, fit_k, fit_v;  ///< other tokens of the same head, which methods with tables are fitted to
  std::shared_ptr<const model::Rope> rope;
  std::size_t window = 0;  ///< tokens that a query sees, its own the last of them; 0: all up to its own

  std::size_t tokens() const { return k.rows(); }
  std::vector<std::int64_t> positions() const;
  /// Number of the first query's token.
  std::size_t first_query() const { return tokens() - q.front().rows(); }
  float scale() const;
  kv::Calibration calibration() const { return {fit_k_pre, fit_k, fit_v}; }
};

/// The generator: key before RoPE = b + diag(sigma) z with sigma = exp(.35 N), b = .8 N, and n = max(2, d / 32)
/// outlier pairs: for u drawn without replacement from 0 .. d/8 - 1, b[d/2 - 1 - u] = +-U(6, 9) and with probability
/// 1/2 b[d - 1 - u] = +-U(6, 9). RoPE pairs (c, c + d/2), theta 1e5. Values: N, one in a hundred times 4, times exp(.3
/// N) a token, plus .3 N a channel. Queries at the last positions: N + .6 N a channel + .05 b, rotated. Calibration
/// tokens: as many further draws from the same channels.
/// `calibrated`: whether calibration tokens are drawn; nothing else depends on it.
Head synthetic_head(std::size_t d, std::size_t tokens, std::size_t queries, Rng rng, bool calibrated = true);

/// The RoPE of heads of `d` channels.
std::shared_ptr<const model::Rope> make_rope(std::size_t d, double theta, const model::RopeScaling& scaling = {});

/// Heads of the tensors that the parameter `tensors` names: "sample" (committed: layers 0, 15 and 29 of SmolLM2-135M on
/// 512 tokens), or a file as lowbit capture writes it: q, k and v of equal windows and tokens, each q and k with its
/// attribute "rope" (before or after), k with "sliding_window" too where a query sees so many tokens alone; k_pre where
/// it is there, else k turned back. Attributes of the file: heads,
/// kv_heads, head_dim, rope_theta, first_position = 0; rope_scaling (none, linear with rope_factor, llama3 with
/// rope_low_frequency_factor, rope_high_frequency_factor and rope_original_context too; none where it is missing), and
/// head_mapping, if given, as capture writes it. Errors (bad_data): attributes that are missing, shapes that do not fit
/// them, NaN or Inf, axes other than window,token,channel, a k that is not k_pre after RoPE.
class TensorFile {
 public:
  explicit TensorFile(const std::string& tensors);
  /// "layer-0.head-2": of every window of the file, joined to the name as "window-1.layer-0.head-2" where there are
  /// several.
  std::vector<std::string> names() const;
  /// All tokens with the last `queries` of them as queries, and none to fit tables to. `calibrated`: tables are fitted
  /// to the first half of the tokens, and the head is the second half, at its own positions, so that nothing is
  /// measured on tokens that tables have seen.
  Head load(const std::string& name, std::size_t queries, bool calibrated = false) const;
  std::size_t head_dim() const { return head_dim_; }
  /// Of the layer that has fewest.
  std::size_t tokens() const { return tokens_; }

 private:
  struct Entry {
    std::string name, prefix;
    std::size_t window, head;
    bool k_rotated, q_rotated, has_k_pre;
    std::size_t sliding_window;
  };
  std::string path_;
  std::vector<Entry> entries_;
  std::size_t head_dim_ = 0, heads_ = 0, kv_heads_ = 0, tokens_ = std::numeric_limits<std::size_t>::max();
  std::shared_ptr<const model::Rope> rope_;
};

/// Whether a name is that of a drawn head ("seed-7").
bool is_seed(const std::string& name);

/// Names of an axis "tensor": seeds (as many as the parameter says), then those of the file.
Values tensor_names(const Params& params);
/// Adds the parameters seeds, length, queries, tensors and the axis tensor.
Experiment with_heads(Experiment experiment, std::int64_t seeds, std::int64_t length);
/// The head of a point with `d` channels where it is drawn. `calibrated`: with tokens to fit tables to (of a file: the
/// first half; the head is the second).
Head head_of(const Point& point, std::size_t d, Rng rng, bool calibrated = false);
/// Empty, or why the tensors of the parameter cannot be had.
std::string tensors_missing(const Params& params);

}  // namespace lowbit::kvlinc
