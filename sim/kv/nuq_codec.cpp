#include "sim/kv/nuq_codec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formats/pack.hpp"
#include "sim/kv/half.hpp"
#include "sim/kv/quantile.hpp"
#include "sim/kv/sparse_list.hpp"

namespace lowbit::kv {
namespace {

ChannelRange range_of(double low, double high) {
  ChannelRange range;
  range.low = static_cast<float>(low);
  range.high = static_cast<float>(high);
  range.offset = half_value(half_code(static_cast<float>((high + low) / 2)));
  range.range = half_value(half_code(static_cast<float>((high - low) / 2)));
  return range;
}

// Thresholds of a row, and offset and range of what lies between them (with the median in place of what does not).
ChannelRange token_range(const float* x, std::size_t n, double outliers, bool percentile_range) {
  std::vector<float> sorted(x, x + n);
  std::sort(sorted.begin(), sorted.end());
  const auto low = static_cast<float>(sorted_quantile(sorted, outliers / 2)),
             high = static_cast<float>(sorted_quantile(sorted, 1 - outliers / 2));
  float least = static_cast<float>(sorted_quantile(sorted, 0.5)), most = least;
  for (const float v : sorted)
    if (v >= low && v <= high) least = std::min(least, v), most = std::max(most, v);
  if (percentile_range) least = low, most = high;
  ChannelRange range = range_of(least, most);
  range.low = low;
  range.high = high;
  return range;
}

float position(const ChannelRange& r, float x) {
  return r.range > 0 ? (x - r.offset) / r.range : 0.0f;
}

class NuqBlock : public Block {
 public:
  NuqBlock(std::shared_ptr<const NuqLevels> levels, std::shared_ptr<const std::vector<ChannelRange>> ranges,
           std::size_t width)
      : levels_(std::move(levels)),
        ranges_(std::move(ranges)),
        width_(width),
        bits_(static_cast<int>(std::bit_width(levels_->nearest.size() - 1))) {}

  void add(ConstRows rows, double outliers, bool percentile_range) {
    std::vector<std::uint8_t> codes(width_);
    std::vector<std::uint16_t> listed;
    for (std::size_t t = 0; t < rows.rows; ++t) {
      const float* x = rows.row(t);
      const ChannelRange own = ranges_ ? ChannelRange{} : token_range(x, width_, outliers, percentile_range);
      listed.clear();
      for (std::size_t c = 0; c < width_; ++c) {
        const ChannelRange& r = ranges_ ? (*ranges_)[c] : own;
        const bool outside = outliers > 0 && (x[c] < r.low || x[c] > r.high);
        if (outside) listed.push_back(static_cast<std::uint16_t>(c));
        codes[c] = static_cast<std::uint8_t>(nearest_level(levels_->nearest, outside ? 0.0f : position(r, x[c])));
      }
      const auto packed = pack_codes(pack_layout("dense"), bits_, codes, width_);
      codes_.insert(codes_.end(), packed.begin(), packed.end());
      if (outliers > 0) sparse_.add_row(listed, x);
      if (!ranges_) {
        offset_.push_back(half_code(own.offset));
        range_.push_back(half_code(own.range));
      }
      ++rows_;
    }
    has_sparse_ = outliers > 0;
  }

  std::size_t rows() const override { return rows_; }
  void decode(std::size_t first, Rows out) const override {
    const PackLayout& dense = pack_layout("dense");
    const std::size_t row_bytes = dense.bytes(bits_, width_);
    std::vector<std::uint8_t> codes(width_);
    for (std::size_t t = 0; t < out.rows; ++t) {
      dense.unpack(bits_, codes_.data() + (first + t) * row_bytes, width_, codes.data());
      for (std::size_t c = 0; c < width_; ++c) {
        const float range = ranges_ ? (*ranges_)[c].range : half_value(range_[first + t]);
        const float offset = ranges_ ? (*ranges_)[c].offset : half_value(offset_[first + t]);
        const float product = range * levels_->decoded[codes[c]];
        out.row(t)[c] = product + offset;
      }
    }
    if (has_sparse_) sparse_.put(first, out);
  }

  Bytes bytes() const override {
    Bytes bytes;
    bytes.codes = codes_.size();
    bytes.scales = 2 * (offset_.size() + range_.size());
    if (has_sparse_) sparse_.add_bytes(bytes);
    return bytes;
  }
  void dump(std::vector<std::uint8_t>& out) const override {
    out.insert(out.end(), codes_.begin(), codes_.end());
    for (const auto* part : {&offset_, &range_}) {
      const auto* data = reinterpret_cast<const std::uint8_t*>(part->data());
      out.insert(out.end(), data, data + 2 * part->size());
    }
    if (has_sparse_) sparse_.dump(out);
  }

 private:
  std::shared_ptr<const NuqLevels> levels_;
  std::shared_ptr<const std::vector<ChannelRange>> ranges_;
  std::size_t width_, rows_ = 0;
  int bits_;
  bool has_sparse_ = false;
  std::vector<std::uint8_t> codes_;
  std::vector<std::uint16_t> offset_, range_;
  SparseList sparse_;
};

}  // namespace

std::vector<ChannelRange> channel_ranges(ConstRows rows, double outliers) {
  std::vector<ChannelRange> ranges;
  std::vector<float> column(rows.rows);
  for (std::size_t c = 0; c < rows.columns; ++c) {
    for (std::size_t t = 0; t < rows.rows; ++t) column[t] = rows.row(t)[c];
    std::sort(column.begin(), column.end());
    ranges.push_back(range_of(sorted_quantile(column, outliers / 2), sorted_quantile(column, 1 - outliers / 2)));
  }
  return ranges;
}

Samples normalised(ConstRows rows, const std::vector<ChannelRange>& ranges, ConstRows weights) {
  Samples out;
  for (std::size_t t = 0; t < rows.rows; ++t)
    for (std::size_t c = 0; c < rows.columns; ++c)
      if (const float x = rows.row(t)[c]; x >= ranges[c].low && x <= ranges[c].high) {
        out.values.push_back(position(ranges[c], x));
        if (weights.rows > 0) out.weights.push_back(weights.row(t)[c]);
      }
  return out;
}

Samples normalised_tokens(ConstRows rows, double outliers, bool percentile_range, ConstRows weights) {
  Samples out;
  for (std::size_t t = 0; t < rows.rows; ++t) {
    const ChannelRange r = token_range(rows.row(t), rows.columns, outliers, percentile_range);
    const ConstRows weight = weights.rows > 0 ? weights.slice(t, 1) : ConstRows();
    const Samples own = normalised(rows.slice(t, 1), std::vector<ChannelRange>(rows.columns, r), weight);
    out.values.insert(out.values.end(), own.values.begin(), own.values.end());
    out.weights.insert(out.weights.end(), own.weights.begin(), own.weights.end());
  }
  return out;
}

NuqCodec::NuqCodec(NuqLevels levels, std::vector<ChannelRange> ranges, bool list_outside)
    : NuqCodec(std::make_shared<const NuqLevels>(std::move(levels)), std::move(ranges), list_outside) {}

NuqCodec::NuqCodec(std::shared_ptr<const NuqLevels> levels, std::vector<ChannelRange> ranges, bool list_outside)
    : levels_(std::move(levels)),
      ranges_(std::make_shared<const std::vector<ChannelRange>>(std::move(ranges))),
      outliers_(list_outside ? 1 : 0) {}

NuqCodec::NuqCodec(NuqLevels levels, double outliers, bool percentile_range)
    : levels_(std::make_shared<const NuqLevels>(std::move(levels))),
      outliers_(outliers),
      percentile_range_(percentile_range) {}

std::unique_ptr<Block> NuqCodec::seal(ConstRows rows) const {
  auto block = std::make_unique<NuqBlock>(levels_, ranges_, rows.columns);
  block->add(rows, outliers_, percentile_range_);
  return block;
}

void NuqCodec::extend(Block& block, ConstRows rows) const {
  static_cast<NuqBlock&>(block).add(rows, outliers_, percentile_range_);
}

std::vector<Table> NuqCodec::tables() const {
  Bytes levels, ranges;
  levels.scales = sizeof(float) * levels_->decoded.size() * (levels_->nearest == levels_->decoded ? 1 : 2);
  std::vector<Table> tables{{levels_.get(), levels}};
  if (!ranges_) return tables;
  ranges.scales = (outliers_ > 0 ? 12 : 4) * ranges_->size();
  tables.push_back({ranges_.get(), ranges});
  return tables;
}

}  // namespace lowbit::kv
