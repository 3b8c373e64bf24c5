// Rotary position embedding: pairs (c, c + d/2) of each head turn by position * theta^(-2c/d) (Su et al., arXiv
// 2104.09864; the half-split layout of Hugging Face models).
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/model/config.hpp"
#include "sim/model/tensor.hpp"

namespace lowbit::model {

/// Frequencies of a model. As in transformers, frequency and angle are float32 (angle = fl(position * frequency)) and
/// the cosine is that of the rounded angle: the function that the models were trained and are served with.
class Rope {
 public:
  explicit Rope(const Config& config);
  std::size_t head_dim() const { return 2 * frequency_.size(); }
  /// head_dim / 2 values, scaling included.
  const std::vector<float>& frequencies() const { return frequency_; }
  /// Cosines and sines of `count` positions: a row holds head_dim / 2 cosines, then as many sines.
  Matrix table(const std::int64_t* positions, std::size_t count) const;
  /// Turns all heads of each row, in place, by that row of the table; `inverse` turns back (the transpose, for
  /// gradients).
  static void apply(Rows rows, ConstRows table, bool inverse = false);

 private:
  std::vector<float> frequency_;
};

}  // namespace lowbit::model
