// Transforms without a fast algorithm: an orthogonal matrix, multiplied out.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "sim/transform/transform.hpp"

namespace lowbit {

/// Largest block of a dense transform: its matrix has 2^24 values.
inline constexpr std::size_t kLargestDense = 4096;

/// y = x T with T an orthogonal matrix (n x n, C order): products and sums in double, index order, each result rounded
/// once to float32.
class DenseTransform : public Transform {
 public:
  DenseTransform(std::string name, std::size_t n, std::vector<double> matrix)
      : name_(std::move(name)), n_(n), matrix_(std::move(matrix)) {}
  std::string name() const override { return name_; }
  std::size_t block() const override { return n_; }
  bool size_exists(std::size_t n) const override { return n >= 1 && n <= kLargestDense; }
  void forward(const float* x, float* y, std::size_t blocks) const override;
  void inverse(const float* x, float* y, std::size_t blocks) const override;

 private:
  std::string name_;
  std::size_t n_;
  std::vector<double> matrix_;
};

/// Error (usage) unless 1 <= n <= kLargestDense.
void check_dense_size(std::size_t n, const std::string& name);

}  // namespace lowbit
