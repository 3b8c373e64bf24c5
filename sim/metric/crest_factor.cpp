#include "sim/metric/crest_factor.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "formats/primitives.hpp"
#include "sim/metric/rows.hpp"

namespace lowbit {

double crest_factor(const float* x, std::size_t n) {
  const BlockSums sums = block_sums_ref(x, nullptr, n);
  if (n == 0 || !std::isfinite(sums.sum2) || sums.sum2 == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(sums.amax) / std::sqrt(sums.sum2 / static_cast<double>(n));
}

CrestFactors crest_factors(const Layout& layout, const float* x, long group) {
  assert(group == kChannelGroup || group > 0);
  CrestFactors result;
  std::vector<double> values;
  for_each_row(layout, x, [&](const float* row, std::size_t length) {
    const std::size_t step = group == kChannelGroup ? length : static_cast<std::size_t>(group);
    for (std::size_t first = 0; first < length; first += step) {
      const std::size_t n = std::min(step, length - first);
      ++result.blocks;
      if (std::all_of(row + first, row + first + n, [](float v) { return v == 0; }))
        ++result.zero_blocks;
      else
        values.push_back(crest_factor(row + first, n));
    }
  });
  double sum = 0;
  for (const double v : values) sum += v;
  result.mean = sum / static_cast<double>(values.size());
  result.spread = quantiles(std::move(values));
  return result;
}

}  // namespace lowbit
