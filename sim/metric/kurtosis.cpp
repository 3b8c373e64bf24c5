#include "sim/metric/kurtosis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lowbit {

double excess_kurtosis(const CentralSums& central, std::size_t n) {
  if (n == 0 || !std::isfinite(central.sum2)) return std::numeric_limits<double>::quiet_NaN();
  return central.sum4 * static_cast<double>(n) / (central.sum2 * central.sum2) - 3;
}

double excess_kurtosis(const float* x, std::size_t n) {
  const bool constant = std::all_of(x, x + n, [&](float v) { return v == x[0]; });
  if (constant) return std::numeric_limits<double>::quiet_NaN();
  const double mean = block_sums(x, nullptr, n).sum / static_cast<double>(n);
  return excess_kurtosis(central_sums(x, n, mean), n);
}

}  // namespace lowbit
