#include "sim/transform/cosine.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "sim/transform/dense.hpp"

namespace lowbit {
namespace {

/// sum_i (-1)^i x^(2i + first) / (2i + first)!: cosine for first = 0, sine for first = 1; |x| <= pi / 4, where nine
/// terms are more than a double holds. IEEE operations alone, so that the bits do not depend on the C library.
double series(double x, int first) {
  double term = first == 0 ? 1 : x, sum = term;
  for (int i = 1; i < 10; ++i) {
    term *= -x * x / ((2 * i + first) * (2 * i + first - 1));
    sum += term;
  }
  return sum;
}

/// cos(pi m / (2 n)) for 0 <= m < 4 n.
double cosine(std::size_t m, std::size_t n) {
  if (m > 2 * n) m = 4 * n - m;
  if (m > n) return -cosine(2 * n - m, n);
  const double unit = std::numbers::pi / static_cast<double>(2 * n);
  return 2 * m > n ? series(unit * static_cast<double>(n - m), 1) : series(unit * static_cast<double>(m), 0);
}

}  // namespace

std::shared_ptr<const Transform> make_cosine(std::size_t n) {
  check_dense_size(n, "dct");
  std::vector<double> matrix(n * n);
  const double size = static_cast<double>(n);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t k = 0; k < n; ++k) {
      // the angle is reduced exactly: the cosine has period 4 n in units of pi / (2 n)
      matrix[j * n + k] = std::sqrt((k == 0 ? 1 : 2) / size) * cosine((2 * j + 1) * k % (4 * n), n);
    }
  return std::make_shared<DenseTransform>(fmt::format("dct:{}", n), n, std::move(matrix));
}

}  // namespace lowbit
