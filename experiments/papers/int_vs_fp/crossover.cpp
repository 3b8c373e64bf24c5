#include "experiments/papers/int_vs_fp/crossover.hpp"

#include <algorithm>
#include <limits>

#include "sim/portable_math.hpp"

namespace lowbit::int_vs_fp {

double falling_crossover(std::span<const DifferencePoint> points) {
  for (std::size_t i = 1; i < points.size(); ++i) {
    const auto &a = points[i - 1], &b = points[i];
    if (a.difference > 0 && b.difference <= 0) {
      return a.kappa + (b.kappa - a.kappa) * a.difference / (a.difference - b.difference);
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

int sign_changes(std::span<const DifferencePoint> points) {
  int changes = 0;
  double last = 0;
  for (const auto& point : points) {
    if (point.difference == 0) continue;
    if (last != 0 && (point.difference > 0) != (last > 0)) ++changes;
    last = point.difference;
  }
  return changes;
}

void ErrorBins::add(double kappa, double integer_error, double float_error) {
  const auto bin = std::min(static_cast<std::size_t>(kappa / width), blocks.size() - 1);
  integer[bin] += integer_error;
  floating[bin] += float_error;
  blocks[bin] += 1;
  wins += integer_error < float_error;
  ties += integer_error == float_error;
  total += 1;
}

void ErrorBins::add(const ErrorBins& other) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    integer[i] += other.integer[i];
    floating[i] += other.floating[i];
    blocks[i] += other.blocks[i];
  }
  wins += other.wins;
  ties += other.ties;
  total += other.total;
}

std::vector<DifferencePoint> binned_differences(const ErrorBins& bins, double least) {
  std::vector<DifferencePoint> points;
  for (std::size_t i = 0; i < bins.blocks.size(); ++i) {
    if (bins.blocks[i] >= least) points.push_back({bins.centre(i), decibel(bins.floating[i] / bins.integer[i])});
  }
  return points;
}

}  // namespace lowbit::int_vs_fp
