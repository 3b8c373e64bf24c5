#include "sim/kv/nuq_levels.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/kv/quantile.hpp"

namespace lowbit::kv {
namespace {

struct Moments {
  double mean = 0, deviation = 0;
};
template <class Value>
Moments moments(std::size_t n, Value value) {
  Moments m;
  for (std::size_t i = 0; i < n; ++i) m.mean += value(i) / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) m.deviation += (value(i) - m.mean) * (value(i) - m.mean) / static_cast<double>(n);
  m.deviation = std::sqrt(m.deviation);
  return m;
}

// Rising by value, weights with them.
void sort(Samples& samples) {
  auto& [values, weights] = samples;
  if (weights.empty()) return std::sort(values.begin(), values.end());
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] != values[b] ? values[a] < values[b] : a < b; });
  Samples sorted;
  for (const std::size_t i : order) sorted.values.push_back(values[i]), sorted.weights.push_back(weights[i]);
  samples = std::move(sorted);
}

}  // namespace

std::vector<float> k_means(Samples samples, std::size_t count) {
  constexpr int kRounds = 50;
  sort(samples);
  const std::vector<float>& values = samples.values;
  std::vector<double> total(values.size() + 1), weight(values.size() + 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double w = samples.weights.empty() ? 1 : samples.weights[i];
    weight[i + 1] = weight[i] + w;
    total[i + 1] = total[i] + w * values[i];
  }
  std::vector<float> centre(count);
  for (std::size_t k = 0; k < count; ++k)
    centre[k] =
        static_cast<float>(sorted_quantile(values, (static_cast<double>(k) + 0.5) / static_cast<double>(count)));
  for (int round = 0; round < kRounds; ++round) {
    std::vector<float> next = centre;
    std::size_t begin = 0;
    for (std::size_t k = 0; k < count; ++k) {
      std::size_t end = values.size();
      if (k + 1 < count)
        end = static_cast<std::size_t>(std::upper_bound(values.begin(), values.end(), (centre[k] + centre[k + 1]) / 2) -
                                       values.begin());
      end = std::max(begin, end);
      if (weight[end] > weight[begin])
        next[k] = static_cast<float>((total[end] - total[begin]) / (weight[end] - weight[begin]));
      begin = end;
    }
    if (next == centre) break;
    centre = next;
  }
  return centre;
}

std::vector<float> k_means(std::vector<float> values, std::size_t count) {
  return k_means(Samples{std::move(values), {}}, count);
}

std::vector<float> uniform_levels(std::size_t count) {
  std::vector<float> levels(count);
  for (std::size_t k = 0; k < count; ++k)
    levels[k] = static_cast<float>(-1 + 2 * static_cast<double>(k) / static_cast<double>(count - 1));
  return levels;
}

std::size_t nearest_level(const std::vector<float>& levels, float x) {
  std::size_t code = 0;
  while (code + 1 < levels.size() && x > (levels[code] + levels[code + 1]) / 2) ++code;
  return code;
}

std::vector<float> normalised_levels(const std::vector<float>& levels, const std::vector<float>& values) {
  const Moments own = moments(values.size(), [&](std::size_t i) { return static_cast<double>(values[i]); });
  const Moments kept = moments(
      values.size(), [&](std::size_t i) { return static_cast<double>(levels[nearest_level(levels, values[i])]); });
  if (kept.deviation == 0) return levels;
  const double stretch = own.deviation / kept.deviation;
  std::vector<float> out;
  for (const float c : levels) out.push_back(static_cast<float>(c * stretch + (own.mean - kept.mean * stretch)));
  return out;
}

}  // namespace lowbit::kv
