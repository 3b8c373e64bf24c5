#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

namespace lowbit::kv {

/// Quantile p of sorted values (at least one), linear between order statistics.
inline double sorted_quantile(const std::vector<float>& sorted, double p) {
  const double place = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (static_cast<double>(sorted[above]) - sorted[below]);
}

}  // namespace lowbit::kv
