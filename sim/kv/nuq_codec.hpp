// Non-uniform levels with a sparse side list (KVQuant, arXiv 2401.18079).
#pragma once
#include "sim/kv/block.hpp"

namespace lowbit::kv {

/// Range of a channel, fixed beforehand: value = fl(fl(range * level) + offset); what lies outside of low .. high may
/// be listed exactly.
struct ChannelRange {
  float low = 0, high = 0, offset = 0, range = 0;
};

/// Percentiles outliers / 2 and 1 - outliers / 2 of each column (linear between order statistics), and the range they
/// span. outliers = 0: minimum and maximum.
std::vector<ChannelRange> channel_ranges(ConstRows rows, double outliers);

/// (x - offset) / range of the values inside their range; a channel of range 0 gives zeros.
std::vector<float> normalised(ConstRows rows, const std::vector<ChannelRange>& ranges);
/// The same with a range a row, as the codec takes it.
std::vector<float> normalised_tokens(ConstRows rows, double outliers, bool percentile_range = false);

/// `count` centroids of one-dimensional k-means (Lloyd, at most 50 rounds) from equally spaced quantiles, rising.
/// Values of equal distance belong to the lower centroid; a centroid without values stays.
std::vector<float> k_means(std::vector<float> values, std::size_t count);
/// `count` levels from -1 to 1.
std::vector<float> uniform_levels(std::size_t count);

/// Codes are numbers of levels, packed densely; rows stand alone.
class NuqCodec : public Codec {
 public:
  static constexpr std::size_t kRows = 128;
  /// Fixed ranges, one a channel. `list_outside`: values outside are listed, else they take the nearest level.
  NuqCodec(std::vector<float> levels, std::vector<ChannelRange> ranges, bool list_outside);
  /// A range a row: its values beyond the percentiles are listed and the median takes their place; offset and range
  /// come from the rest and are kept as float16.
  /// `percentile_range`: from the percentiles themselves instead.
  NuqCodec(std::vector<float> levels, double outliers, bool percentile_range = false);
  std::unique_ptr<Block> seal(ConstRows rows) const override;
  std::size_t granule() const override { return 1; }
  std::size_t block_rows() const override { return kRows; }
  void extend(Block& block, ConstRows rows) const override;
  /// Levels and fixed ranges, float16 each.
  Bytes shared_bytes() const override;

 private:
  std::shared_ptr<const std::vector<float>> levels_;
  std::shared_ptr<const std::vector<ChannelRange>> ranges_;  // nullptr: one a row
  double outliers_ = 0;
  bool percentile_range_ = false;
};

}  // namespace lowbit::kv
