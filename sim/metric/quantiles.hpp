// Order statistics of a sample.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace lowbit {

/// The five numbers of a box plot. All NaN for an empty sample or one that holds a NaN.
struct Quantiles {
  double min, q1, median, q3, max;
};

/// Linear interpolation between order statistics at (n - 1) p (type 7 of Hyndman and Fan 1996, the default of NumPy).
Quantiles quantiles(std::vector<double> sample);

/// The same numbers, exactly, of a sample that is seen twice and never held: the first time values are counted in bins,
/// the second time those in the few bins that hold the wanted ranks are kept. Values lie in [1, 2^16) or count as the
/// nearest of these; the order of the values does not matter, and parts of the sample may be counted apart and merged. A binade has 1024
/// bins: memory grows with the distinct values that crowd in the bins of the five ranks.
class TwicePassedQuantiles {
 public:
  TwicePassedQuantiles();
  void count(double value) { ++bins_[bin_of(value)]; }
  void merge_counts(const TwicePassedQuantiles& other);
  /// Between the passes: finds the wanted bins.
  void choose_bins();
  /// The second pass. `kept` is empty at first; parts of the sample have one each.
  using Kept = std::map<double, std::size_t>;
  void keep(double value, Kept& kept) const {
    if (wanted_[bin_of(value)]) ++kept[value];
  }
  Quantiles result(const std::vector<Kept>& kept) const;

 private:
  static std::size_t bin_of(double value);
  double at_rank(const Kept& kept, std::size_t rank) const;

  std::vector<std::uint64_t> bins_;
  std::vector<bool> wanted_;
  std::size_t total_ = 0;
};

}  // namespace lowbit
