#include "sim/metric/kurtosis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/primitives.hpp"

namespace lowbit {

double excess_kurtosis(const float* x, std::size_t n) {
  constexpr std::size_t kChunk = 4096;  // partial sums keep the rounding error small and the order fixed
  const BlockSums sums = block_sums_ref(x, nullptr, n);
  const bool constant = std::all_of(x, x + n, [&](float v) { return v == x[0]; });
  if (n == 0 || constant || !std::isfinite(sums.sum2)) return std::numeric_limits<double>::quiet_NaN();
  const double mean = sums.sum / static_cast<double>(n);
  double m2 = 0, m4 = 0;
  for (std::size_t first = 0; first < n; first += kChunk) {
    double part2 = 0, part4 = 0;
    for (std::size_t i = first; i < std::min(n, first + kChunk); ++i) {
      const double square = (x[i] - mean) * (x[i] - mean);
      part2 += square;
      part4 += square * square;
    }
    m2 += part2;
    m4 += part4;
  }
  return m4 * static_cast<double>(n) / (m2 * m2) - 3;
}

}  // namespace lowbit
