#include "sim/metric/quantiles.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lowbit {

Quantiles quantiles(std::vector<double> sample) {
  const bool undefined =
      sample.empty() || std::any_of(sample.begin(), sample.end(), [](double v) { return std::isnan(v); });
  if (undefined) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    return {kNan, kNan, kNan, kNan, kNan};
  }
  std::sort(sample.begin(), sample.end());
  const auto at = [&](double p) {
    const double position = p * static_cast<double>(sample.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const double low = sample[below], high = sample[std::min(below + 1, sample.size() - 1)];
    const double fraction = position - static_cast<double>(below);
    return fraction == 0 ? low : low + (high - low) * fraction;  // no Inf - Inf on a grid point
  };
  return {at(0), at(0.25), at(0.5), at(0.75), at(1)};
}

}  // namespace lowbit
