// Vector kernels of fake_quantize for contiguous groups: whole blocks in strips, groups of any length.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/fake_quantize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/kernels/fake_quantize.hpp"
#include "formats/kernels/group-inl.h"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

template <bool kStream, class Quantizer>
void run_strips(const Quantizer q, const BlockPlan& plan, const float* x, float* y, std::size_t blocks,
                std::uint64_t index, const float* next) {
  // what fits the second cache has no memory to keep busy: longer strips cost less
  constexpr std::size_t kCachedValues = std::size_t{1} << 16;
  std::size_t strip = strip_blocks(plan.group);
  if (blocks * plan.group <= kCachedValues && strip * plan.group <= kStripValues) strip *= 2;
  const std::size_t values = strip * plan.group;
  // an address for prefetching, which may belong to another array
  const auto distance = [](const float* from, const float* to) {
    return (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from)) / sizeof(float);
  };
  const std::size_t ahead = next != nullptr ? distance(x, next) : values + kStripAhead;
  const std::size_t last_ahead = next != nullptr ? ahead : 0;
  for (; blocks > strip; blocks -= strip, x += values, y += values, index += values)
    quantize_strip<kStream>(q, plan, x, y, strip, index, ahead);
  quantize_strip<kStream>(q, plan, x, y, blocks, index, last_ahead);
}

void QuantizeBlocks(const BlockPlan& plan, const float* x, float* y, std::size_t blocks, std::uint64_t index,
                    const float* next) {
  if (blocks == 0) return;
  with_quantizer(plan, [&](const auto q) HWY_ATTR {
    if (plan.stream) return run_strips<true>(q, plan, x, y, blocks, index, next);
    run_strips<false>(q, plan, x, y, blocks, index, next);
  });
}

Measured MeasureGroup(const BlockPlan& plan, const float* x, std::size_t n) {
  const bool range = plan.scaler == Scaler::asymmetric || plan.scaler == Scaler::minimum;
  if (!range) return {measure_any<LargestMagnitude>(x, n), 0};
  return {measure_any<Largest>(x, n), measure_any<Least>(x, n)};
}

bool QuantizeMeasured(const BlockPlan& plan, Measured measured, const float* x, float* y, std::size_t n,
                      std::uint64_t index) {
  bool done = false;
  with_quantizer(plan, [&](const auto q) HWY_ATTR {
    Strip s;
    done = plan.stream ? quantize_known(q, plan, measured, s, x, ValueSink<true>{y}, n, index)
                       : quantize_known(q, plan, measured, s, x, ValueSink<false>{y}, n, index);
  });
  return done;
}

std::size_t LaneCount() {
  return hn::Lanes(D());
}

/// Largest finite magnitude.
float FiniteMaximum(const float* x, std::size_t n) {
  const D d;
  const DI di;
  const std::size_t lanes = hn::Lanes(d);
  const VI infinity = hn::Set(di, kExponentMask);
  const auto finite = [&](std::size_t i) HWY_ATTR {
    const VI bits = magnitude_bits(hn::LoadU(d, x + i));
    return hn::IfThenElseZero(hn::Lt(bits, infinity), bits);
  };
  VI a = hn::Zero(di), b = a, c = a, e = a;
  std::size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    for (std::size_t k = 0; k < 4 * lanes; k += 16) hwy::Prefetch(x + i + 1024 + k);
    a = hn::Max(a, finite(i));
    b = hn::Max(b, finite(i + lanes));
    c = hn::Max(c, finite(i + 2 * lanes));
    e = hn::Max(e, finite(i + 3 * lanes));
  }
  std::int32_t largest = hn::GetLane(hn::MaxOfLanes(di, hn::Max(hn::Max(a, b), hn::Max(c, e))));
  for (; i < n; ++i) {
    const std::int32_t bits = std::bit_cast<std::int32_t>(x[i]) & kMagnitudeMask;
    if (bits < kExponentMask) largest = std::max(largest, bits);
  }
  return std::bit_cast<float>(largest);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {

HWY_EXPORT(QuantizeBlocks);
HWY_EXPORT(MeasureGroup);
HWY_EXPORT(QuantizeMeasured);
HWY_EXPORT(LaneCount);
HWY_EXPORT(FiniteMaximum);

void quantize_blocks(const BlockPlan& plan, const float* x, float* y, std::size_t blocks, std::uint64_t index,
                     const float* next) {
  HWY_DYNAMIC_DISPATCH(QuantizeBlocks)(plan, x, y, blocks, index, next);
}
Measured measure_group(const BlockPlan& plan, const float* x, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(MeasureGroup)(plan, x, n);
}
Measured merged(const BlockPlan&, Measured a, Measured b) {
  return {std::max(a.largest, b.largest), std::min(a.least, b.least)};
}
bool quantize_measured(const BlockPlan& plan, Measured measured, const float* x, float* y, std::size_t n,
                       std::uint64_t index) {
  return HWY_DYNAMIC_DISPATCH(QuantizeMeasured)(plan, measured, x, y, n, index);
}
std::size_t lane_count() {
  return HWY_DYNAMIC_DISPATCH(LaneCount)();
}
float finite_maximum(const float* x, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(FiniteMaximum)(x, n);
}

}  // namespace lowbit::kernels
#endif
