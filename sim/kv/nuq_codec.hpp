// Non-uniform levels with a sparse side list (KVQuant, arXiv 2401.18079).
#pragma once
#include "sim/kv/block.hpp"
#include "sim/kv/nuq_levels.hpp"

namespace lowbit::kv {

/// Range of a channel, fixed beforehand: value = fl(fl(range * level) + offset); what lies outside of low .. high may
/// be listed exactly.
struct ChannelRange {
  float low = 0, high = 0, offset = 0, range = 0;
};

/// Percentiles outliers / 2 and 1 - outliers / 2 of each column (linear between order statistics), and the range they
/// span. outliers = 0: minimum and maximum.
std::vector<ChannelRange> channel_ranges(ConstRows rows, double outliers);

/// (x - offset) / range of the values inside their range; a channel of range 0 gives zeros. `weights`: of the rows'
/// values, or none.
Samples normalised(ConstRows rows, const std::vector<ChannelRange>& ranges, ConstRows weights = {});
/// The same with a range a row, as the codec takes it.
Samples normalised_tokens(ConstRows rows, double outliers, bool percentile_range = false, ConstRows weights = {});

/// Levels: the nearest one gives the code, `decoded` what a code stands for (another table with Q-Norm).
struct NuqLevels {
  NuqLevels(std::vector<float> levels) : nearest(levels), decoded(std::move(levels)) {}  // NOLINT: one table for both
  NuqLevels(std::vector<float> nearest, std::vector<float> decoded)
      : nearest(std::move(nearest)), decoded(std::move(decoded)) {}
  std::vector<float> nearest, decoded;
};

/// Codes are numbers of levels, packed densely; rows stand alone.
class NuqCodec : public Codec {
 public:
  static constexpr std::size_t kRows = 128;
  /// Fixed ranges, one a channel. `list_outside`: values outside are listed, else they take the nearest level.
  NuqCodec(NuqLevels levels, std::vector<ChannelRange> ranges, bool list_outside);
  /// With levels that other codecs use too: their bytes count once.
  NuqCodec(std::shared_ptr<const NuqLevels> levels, std::vector<ChannelRange> ranges, bool list_outside);
  /// A range a row: its values beyond the percentiles are listed and the median takes their place; offset and range
  /// come from the rest and are kept as float16.
  /// `percentile_range`: from the percentiles themselves instead.
  NuqCodec(NuqLevels levels, double outliers, bool percentile_range = false);
  std::unique_ptr<Block> seal(ConstRows rows) const override;
  std::size_t granule() const override { return 1; }
  std::size_t block_rows() const override { return kRows; }
  void extend(Block& block, ConstRows rows) const override;
  /// Levels (float32), and of fixed ranges offset and range (float16 each) and, where values outside are listed, the
  /// two thresholds (float32).
  std::vector<Table> tables() const override;

 private:
  std::shared_ptr<const NuqLevels> levels_;
  std::shared_ptr<const std::vector<ChannelRange>> ranges_;  // nullptr: one a row
  double outliers_ = 0;
  bool percentile_range_ = false;
};

}  // namespace lowbit::kv
