#include "experiments/core/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lowbit {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double mean(std::span<const double> values, std::span<const std::size_t> picks) {
  double sum = 0;
  for (const std::size_t i : picks) sum += values[i];
  return sum / static_cast<double>(picks.size());
}

std::vector<std::size_t> all_of(std::size_t n) {
  std::vector<std::size_t> all(n);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return kNan;
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= values.size()) return values.back();
  return values[below] + (at - static_cast<double>(below)) * (values[below + 1] - values[below]);
}

Interval bootstrap(std::size_t n, const Statistic& statistic, Rng rng, std::size_t replicates, double level) {
  if (n == 0) return {kNan, kNan};
  std::vector<std::size_t> sample(n);
  std::vector<double> values;
  values.reserve(replicates);
  for (std::size_t r = 0; r < replicates; ++r) {
    for (std::size_t& index : sample) index = rng.below(n);
    const double value = statistic(sample);
    if (std::isfinite(value)) values.push_back(value);
  }
  if (values.empty() || 2 * values.size() < replicates) return {kNan, kNan};
  return {quantile(values, (1 - level) / 2), quantile(values, (1 + level) / 2)};
}

Interval bootstrap_mean(std::span<const double> values, Rng rng, std::size_t replicates, double level) {
  const auto statistic = [&](std::span<const std::size_t> sample) { return mean(values, sample); };
  return bootstrap(values.size(), statistic, rng, replicates, level);
}

Interval bootstrap_ratio(std::span<const double> numerators, std::span<const double> denominators, Rng rng,
                         std::size_t replicates, double level) {
  const auto ratio = [&](std::span<const std::size_t> sample) {
    double above = 0, below = 0;
    for (std::size_t i : sample) {
      above += numerators[i];
      below += denominators[i];
    }
    return above / below;
  };
  return bootstrap(std::min(numerators.size(), denominators.size()), ratio, rng, replicates, level);
}

Interval wilson(double successes, double trials) {
  if (!(trials > 0)) return {kNan, kNan};
  constexpr double kZ = 1.959963984540054;  // 97.5 % quantile of the normal distribution
  const double p = successes / trials, z2 = kZ * kZ / trials;
  const double centre = (p + z2 / 2) / (1 + z2);
  const double half = kZ * std::sqrt(p * (1 - p) / trials + z2 / (4 * trials)) / (1 + z2);
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

}  // namespace lowbit
