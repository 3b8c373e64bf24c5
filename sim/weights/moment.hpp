// Second moments of activations, accumulated over any number of calls.
#pragma once
#include <armadillo>

#include <cstddef>

#include "sim/model/tensor.hpp"
#include "sim/threads.hpp"

namespace lowbit::weights {

/// Sum of x x^T (or x y^T) over tokens: float32 products of pieces of kMomentRows tokens, added in double. Bits depend
/// on how tokens are divided into calls, not on threads.
class MomentSum {
 public:
  MomentSum() = default;
  explicit MomentSum(std::size_t width) : sum_(width, width, arma::fill::zeros) {}
  /// x: tokens x width. Products run over the triangle alone.
  void add(model::ConstRows x, Threads& threads);
  /// x and y of the same tokens: entry (i, j) sums x_i y_j.
  void add(model::ConstRows x, model::ConstRows y, Threads& threads);
  std::size_t tokens() const { return tokens_; }
  /// Mean over the tokens; both triangles filled.
  arma::mat mean() const;

 private:
  arma::mat sum_;
  std::size_t tokens_ = 0;
  bool symmetric_ = true;
};

inline constexpr std::size_t kMomentRows = 2048;

}  // namespace lowbit::weights
