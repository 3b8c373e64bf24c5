#include "sim/metric/crest_factor.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "formats/primitives.hpp"
#include "sim/metric/rows.hpp"

namespace lowbit {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The larger of two magnitudes, where NaN is the largest of all.
float larger(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) > std::bit_cast<std::uint32_t>(b) ? a : b;
}

}  // namespace

void BlockPower::add(const BlockPower& later) {
  amax = larger(amax, later.amax);
  sum2 += later.sum2;
  count += later.count;
}

double BlockPower::crest_factor() const {
  if (!std::isfinite(amax) || amax == 0) return kNan;
  return static_cast<double>(amax) / std::sqrt(sum2 / static_cast<double>(count));
}

void RowParts::make(const float* x, std::size_t n) {
  size_ = n;
  const std::size_t parts = (n + kSumLanes - 1) / kSumLanes;
  if (amax_.size() < parts) {
    amax_.resize(parts);
    sum2_.resize(parts);
  }
  part_maxima(x, n, amax_.data(), sum2_.data());
}

BlockPower RowParts::block(std::size_t first, std::size_t n) const {
  assert(first % kSumLanes == 0 && first + n <= size_);
  BlockPower total;
  for (std::size_t begin = 0; begin < n; begin += kPowerSpan) {
    BlockPower span;
    span.count = std::min(kPowerSpan, n - begin);
    const std::size_t part = (first + begin) / kSumLanes, end = part + (span.count + kSumLanes - 1) / kSumLanes;
    for (std::size_t i = part; i < end; ++i) {
      span.amax = larger(span.amax, amax_[i]);
      span.sum2 += sum2_[i];
    }
    total.add(span);
  }
  return total;
}

double CrestMean::add(const BlockPower& block) {
  ++blocks_;
  if (block.amax == 0) {
    ++zero_blocks_;
    return -1;
  }
  const double crest = block.crest_factor();
  if (std::isnan(crest)) {
    undefined_ = true;
    return -1;
  }
  sum_ += static_cast<std::uint64_t>(std::min(crest, 0x1p16) * 0x1p47 + 0.5);  // a block has fewer than 2^32 values
  return crest;
}

void CrestMean::merge(const CrestMean& other) {
  blocks_ += other.blocks_;
  zero_blocks_ += other.zero_blocks_;
  undefined_ |= other.undefined_;
  sum_ += other.sum_;
}

CrestFactors CrestMean::result() const {
  CrestFactors out;
  out.blocks = blocks_;
  out.zero_blocks = zero_blocks_;
  const double sum = static_cast<double>(sum_) * 0x1p-47;
  out.mean = undefined_ ? kNan : sum / static_cast<double>(blocks_ - zero_blocks_);
  return out;
}

double crest_factor(const float* x, std::size_t n) {
  RowParts parts;
  parts.make(x, n);
  return parts.block(0, n).crest_factor();
}

CrestFactors crest_factors(const Layout& layout, const float* x, long group) {
  assert(group == kChannelGroup || group > 0);
  CrestMean mean;
  std::vector<double> values;
  RowParts parts;
  const auto add = [&](const BlockPower& block) {
    const double crest = mean.add(block);
    if (crest > 0) values.push_back(crest);
  };
  for_each_row(layout, x, [&](const float* row, std::size_t length) {
    const std::size_t step = group == kChannelGroup ? length : static_cast<std::size_t>(group);
    if (step % kSumLanes == 0 || step >= length) {
      parts.make(row, length);
      return for_each_block(parts, 0, length, step, add);
    }
    for (std::size_t first = 0; first < length; first += step) {
      const std::size_t n = std::min(step, length - first);
      parts.make(row + first, n);
      add(parts.block(0, n));
    }
  });
  if (mean.undefined()) values.assign(1, kNan);
  CrestFactors result = mean.result();
  result.spread = quantiles(std::move(values));
  return result;
}

}  // namespace lowbit
