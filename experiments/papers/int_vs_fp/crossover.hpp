// Where the integer format of a pair falls behind the float one: crossovers of sampled curves, binned by crest factor.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace lowbit::int_vs_fp {

/// One point of a pair's curves: crest factor and QSNR difference integer - float in dB.
struct DifferencePoint {
  double kappa, difference;
};

/// Crest factor at which the difference changes from positive to negative, by linear interpolation between neighbouring
/// points (sorted by kappa); the first such change. NaN if there is none.
double falling_crossover(std::span<const DifferencePoint> points);

/// Number of changes of sign along the points, zeros skipped.
int sign_changes(std::span<const DifferencePoint> points);

/// Relative block errors summed in bins of crest factor: bin i holds kappa in [i * width, (i + 1) * width).
struct ErrorBins {
  double width = 0.05;
  std::vector<double> integer, floating;  ///< sums of |x - q|^2 / |x|^2
  std::vector<double> blocks;             ///< number of blocks
  double wins = 0, ties = 0, total = 0;   ///< blocks whose integer error is strictly smaller; equal; all

  ErrorBins(std::size_t bins, double bin_width) : width(bin_width), integer(bins), floating(bins), blocks(bins) {}
  void add(double kappa, double integer_error, double float_error);
  void add(const ErrorBins& other);
  double centre(std::size_t bin) const { return (static_cast<double>(bin) + 0.5) * width; }
};

/// Differences of the bins that hold at least `least` blocks, in dB of the mean relative errors.
std::vector<DifferencePoint> binned_differences(const ErrorBins& bins, double least);

}  // namespace lowbit::int_vs_fp
