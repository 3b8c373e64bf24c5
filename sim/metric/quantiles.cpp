#include "sim/metric/quantiles.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

namespace lowbit {
namespace {

constexpr int kBinBits = 10;  // bins a binade, as a power of 2
constexpr std::size_t kBins = std::size_t{16} << kBinBits;
constexpr double kProbabilities[] = {0, 0.25, 0.5, 0.75, 1};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The rank below the quantile p of n values, and how far towards the next one it lies.
struct Position {
  std::size_t below, above;
  double fraction;
};
Position position_of(double p, std::size_t n) {
  const double position = p * static_cast<double>(n - 1);
  const auto below = static_cast<std::size_t>(position);
  return {below, std::min(below + 1, n - 1), position - static_cast<double>(below)};
}

double between(double low, double high, double fraction) {
  return fraction == 0 ? low : low + (high - low) * fraction;  // no Inf - Inf on a grid point
}

}  // namespace

Quantiles quantiles(std::vector<double> sample) {
  const bool undefined =
      sample.empty() || std::any_of(sample.begin(), sample.end(), [](double v) { return std::isnan(v); });
  if (undefined) return {kNan, kNan, kNan, kNan, kNan};
  auto sorted_below = sample.begin();
  const auto rank = [&](std::size_t r) {  // ranks come in rising order
    const auto at = sample.begin() + static_cast<std::ptrdiff_t>(r);
    if (at >= sorted_below) {
      std::nth_element(sorted_below, at, sample.end());
      sorted_below = at;
    }
    return *at;
  };
  const auto quantile = [&](double p) {
    const Position at = position_of(p, sample.size());
    const double low = rank(at.below);
    // the next in order is the least of what lies behind
    const double high = at.above == at.below
                            ? low
                            : *std::min_element(sample.begin() + static_cast<std::ptrdiff_t>(at.above), sample.end());
    return between(low, high, at.fraction);
  };
  Quantiles q{};
  q.min = quantile(0);
  q.q1 = quantile(0.25);
  q.median = quantile(0.5);
  q.q3 = quantile(0.75);
  q.max = quantile(1);
  return q;
}

TwicePassedQuantiles::TwicePassedQuantiles() : bins_(kBins) {}

std::size_t TwicePassedQuantiles::bin_of(double value) {
  constexpr int kShift = 52 - kBinBits;
  constexpr std::uint64_t kFirst = std::bit_cast<std::uint64_t>(1.0) >> kShift;
  const std::uint64_t key = std::bit_cast<std::uint64_t>(value) >> kShift;  // rises with positive values
  return key <= kFirst ? 0 : std::min<std::size_t>(key - kFirst, kBins - 1);
}

void TwicePassedQuantiles::merge_counts(const TwicePassedQuantiles& other) {
  for (std::size_t i = 0; i < kBins; ++i) bins_[i] += other.bins_[i];
}

void TwicePassedQuantiles::choose_bins() {
  total_ = 0;
  for (const std::uint64_t n : bins_) total_ += n;
  wanted_.assign(kBins, false);
  if (total_ == 0) return;
  for (const double p : kProbabilities) {
    const Position at = position_of(p, total_);
    for (const std::size_t rank : {at.below, at.above}) {
      std::size_t bin = 0;
      for (std::size_t before = bins_[0]; before <= rank; before += bins_[bin]) ++bin;
      wanted_[bin] = true;
    }
  }
}

double TwicePassedQuantiles::at_rank(const Kept& kept, std::size_t rank) const {
  auto value = kept.begin();
  std::size_t before = 0;  // values below *value in the sample
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    if (!wanted_[bin]) {
      before += bins_[bin];
      continue;
    }
    for (const std::size_t end = before + bins_[bin]; before < end; ++value) {
      assert(value != kept.end());
      before += value->second;
      if (rank < before) return value->first;
    }
  }
  return kNan;
}

Quantiles TwicePassedQuantiles::result(const std::vector<Kept>& parts) const {
  if (total_ == 0) return {kNan, kNan, kNan, kNan, kNan};
  Kept kept;
  for (const Kept& part : parts)
    for (const auto& [value, n] : part) kept[value] += n;
  double out[5];
  for (std::size_t i = 0; i < 5; ++i) {
    const Position at = position_of(kProbabilities[i], total_);
    out[i] = between(at_rank(kept, at.below), at_rank(kept, at.above), at.fraction);
  }
  return {out[0], out[1], out[2], out[3], out[4]};
}

}  // namespace lowbit
