#include "sim/transform/dense.hpp"

#include <algorithm>

#include "formats/error.hpp"

namespace lowbit {

void DenseTransform::forward(const float* x, float* y, std::size_t blocks) const {
  std::vector<double> sums(n_);
  for (std::size_t block = 0; block < blocks; ++block, x += n_, y += n_) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t i = 0; i < n_; ++i) {
      const double value = x[i];
      const double* row = matrix_.data() + i * n_;
      for (std::size_t j = 0; j < n_; ++j) sums[j] += value * row[j];
    }
    for (std::size_t j = 0; j < n_; ++j) y[j] = static_cast<float>(sums[j]);
  }
}

void DenseTransform::inverse(const float* x, float* y, std::size_t blocks) const {
  std::vector<float> in(n_);
  for (std::size_t block = 0; block < blocks; ++block, x += n_, y += n_) {
    std::copy_n(x, n_, in.begin());
    for (std::size_t i = 0; i < n_; ++i) {
      const double* row = matrix_.data() + i * n_;
      double sum = 0;
      for (std::size_t j = 0; j < n_; ++j) sum += static_cast<double>(in[j]) * row[j];
      y[i] = static_cast<float>(sum);
    }
  }
}

void check_dense_size(std::size_t n, const std::string& name) {
  if (n < 1 || n > kLargestDense)
    throw_error(ExitCode::usage, "transform size {} of {} is out of range (accepted: 1 to {})", n, name, kLargestDense);
}

}  // namespace lowbit
