// Vector kernels of fake_quantize for contiguous groups: power-of-two scales, quotient scales with or without a
// second-level scale, plain casts.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/fake_quantize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/kernels/fake_quantize.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/round-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Everything about one block that is the same for all its values.
struct BlockScale {
  V inverse, scale;   ///< power of two: v = x * inverse; quotient: v = x / inverse
  V second;           ///< second-level scale
};

HWY_INLINE VI magnitude_bits(V v) {
  const DI di;
  return hn::And(hn::BitCast(di, v), hn::Set(di, 0x7fffffff));
}

/// Largest magnitude of a block as float bits, in every lane; NaN and Inf come out as >= 0x7f800000.
HWY_INLINE VI block_maximum(const float* HWY_RESTRICT x, std::size_t group) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  VI largest = magnitude_bits(hn::LoadU(d, x));
  for (std::size_t i = lanes; i < group; i += lanes) largest = hn::Max(largest, magnitude_bits(hn::LoadU(d, x + i)));
  return hn::MaxOfLanes(DI(), largest);
}

/// Scale 2^X of E8M0 by PowerOfTwoRule.
struct PowerOfTwoScaler {
  static constexpr bool kDivides = false;
  static constexpr bool kSecondLevel = false;
  VI add, emax, mask, reciprocal, step;
  std::int32_t low, high;
  explicit PowerOfTwoScaler(const BlockPlan& plan)
      : add(hn::Set(DI(), plan.rule.add)),
        emax(hn::Set(DI(), plan.rule.emax_bits)),
        mask(hn::Set(DI(), 0x7f800000)),
        reciprocal(hn::Set(DI(), 254 << 23)),
        step(hn::Set(DI(), plan.element.step_exponent * (1 << 23))),
        low(plan.rule.low),
        high(plan.rule.high) {}

  /// False: the block is unusual.
  HWY_INLINE bool operator()(VI amax, BlockScale& out) const {
    const D d;
    const std::int32_t bits = hn::GetLane(amax);
    if (HWY_UNLIKELY(bits < low || bits >= high)) return false;
    const VI exponent = hn::Add(hn::Sub(hn::And(hn::Add(amax, add), mask), emax), step);
    out.scale = hn::BitCast(d, exponent);
    out.inverse = hn::BitCast(d, hn::Sub(reciprocal, exponent));
    return true;
  }
};

/// Scale amax / divisor, rounded to the scale element; with a second level amax / (divisor * G), times G.
template <bool kSecond>
struct QuotientScaler {
  static constexpr bool kDivides = true;
  static constexpr bool kSecondLevel = kSecond;
  V divisor, second;
  FloatRounder<Rounding::rne> round_scale;
  bool rounds;
  float low, high;
  explicit QuotientScaler(const BlockPlan& plan)
      : divisor(hn::Set(D(), kSecond ? plan.divisor * plan.second : plan.divisor)),
        second(hn::Set(D(), plan.second)),
        round_scale(plan.scale_element),
        rounds(plan.rounds_scale),
        low(plan.scale_low),
        high(plan.scale_high) {}

  HWY_INLINE bool operator()(VI amax, BlockScale& out) const {
    const D d;
    const V quotient = hn::Div(hn::BitCast(d, amax), divisor);
    const float q = hn::GetLane(quotient);
    // false for NaN as well
    if (HWY_UNLIKELY(!(q >= low && q < high))) return false;
    out.scale = rounds ? round_scale(quotient) : quotient;
    out.second = second;
    out.inverse = kSecond ? hn::Mul(out.scale, second) : out.scale;
    return true;
  }
};

template <class Scaler, class Rounder>
HWY_INLINE V quantize(const Rounder& rounder, const BlockScale& s, V x) {
  const V v = Scaler::kDivides ? hn::Div(x, s.inverse) : hn::Mul(x, s.inverse);
  // element * block scale is exact in float under a second level, so this rounds once
  const V product = hn::Mul(rounder(v), s.scale);
  return Scaler::kSecondLevel ? hn::Mul(product, s.second) : product;
}

/// Consecutive blocks of `group` values (a multiple of the lanes). Unusual blocks go to the reference.
template <class Scaler, class Rounder, bool kStream>
void run_blocks(const BlockPlan& plan, const float* x, float* y, std::size_t blocks) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), group = plan.group;
  const Scaler scaler(plan);
  const Rounder rounder(plan.element);
  constexpr std::size_t kAhead = 1024;  // values: 4 KiB, measured to hide the latency of demand loads
  BlockScale scale;
  scale.second = hn::Zero(d);
  for (std::size_t b = 0; b < blocks; ++b, x += group, y += group) {
    for (std::size_t i = 0; i < group; i += 16) hwy::Prefetch(x + kAhead + i);
    const VI amax = block_maximum(x, group);
    if (HWY_UNLIKELY(!scaler(amax, scale))) {
      plan.reference(plan, x, y, group);
      continue;
    }
    for (std::size_t i = 0; i < group; i += lanes) {
      const V q = quantize<Scaler>(rounder, scale, hn::LoadU(d, x + i));
      if constexpr (kStream) hn::Stream(q, d, y + i);
      else hn::StoreU(q, d, y + i);
    }
  }
}

template <class Scaler, class Rounder>
void run_scaled(const BlockPlan& plan, const float* x, float* y, std::size_t blocks) {
  if (plan.stream) {
    run_blocks<Scaler, Rounder, true>(plan, x, y, blocks);
    return hwy::FlushStream();
  }
  return run_blocks<Scaler, Rounder, false>(plan, x, y, blocks);
}

template <class Scaler>
void run_rounded(const BlockPlan& plan, const float* x, float* y, std::size_t blocks) {
  const bool away = plan.rounding == Rounding::rna;
  if (plan.element.is_float && !plan.element.negative_zero) {
    if (away) return run_scaled<Scaler, FloatRounder<Rounding::rna, false>>(plan, x, y, blocks);
    return run_scaled<Scaler, FloatRounder<Rounding::rne, false>>(plan, x, y, blocks);
  }
  if (plan.element.is_float) {
    if (away) return run_scaled<Scaler, FloatRounder<Rounding::rna>>(plan, x, y, blocks);
    return run_scaled<Scaler, FloatRounder<Rounding::rne>>(plan, x, y, blocks);
  }
  if (away) return run_scaled<Scaler, IntegerRounder<Rounding::rna>>(plan, x, y, blocks);
  return run_scaled<Scaler, IntegerRounder<Rounding::rne>>(plan, x, y, blocks);
}

void RunBlocks(const BlockPlan& plan, const float* x, float* y, std::size_t blocks) {
  switch (plan.scaler) {
    case BlockPlan::kPowerOfTwo:
      return run_rounded<PowerOfTwoScaler>(plan, x, y, blocks);
    case BlockPlan::kQuotient:
      return run_rounded<QuotientScaler<false>>(plan, x, y, blocks);
    case BlockPlan::kTwoLevel:
      return run_rounded<QuotientScaler<true>>(plan, x, y, blocks);
  }
}

std::size_t LaneCount() { return hn::Lanes(D()); }

/// Largest finite magnitude.
float FiniteMaximum(const float* x, std::size_t n) {
  const D d;
  const DI di;
  const std::size_t lanes = hn::Lanes(d);
  const VI infinity = hn::Set(di, 0x7f800000);
  VI best[4] = {hn::Zero(di), hn::Zero(di), hn::Zero(di), hn::Zero(di)};
  std::size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    hwy::Prefetch(x + i + 1024);
    hwy::Prefetch(x + i + 1024 + 2 * lanes);
    for (std::size_t k = 0; k < 4; ++k) {
      const VI bits = magnitude_bits(hn::LoadU(d, x + i + k * lanes));
      best[k] = hn::Max(best[k], hn::IfThenElseZero(hn::Lt(bits, infinity), bits));
    }
  }
  const VI all = hn::MaxOfLanes(di, hn::Max(hn::Max(best[0], best[1]), hn::Max(best[2], best[3])));
  std::int32_t largest = hn::GetLane(all);
  for (; i < n; ++i) {
    std::int32_t bits;
    std::memcpy(&bits, x + i, 4);
    bits &= 0x7fffffff;
    if (bits < 0x7f800000) largest = std::max(largest, bits);
  }
  return std::bit_cast<float>(largest);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {

HWY_EXPORT(RunBlocks);
HWY_EXPORT(LaneCount);
HWY_EXPORT(FiniteMaximum);

void run_blocks(const BlockPlan& plan, const float* x, float* y, std::size_t blocks) {
  HWY_DYNAMIC_DISPATCH(RunBlocks)(plan, x, y, blocks);
}
std::size_t lane_count() { return HWY_DYNAMIC_DISPATCH(LaneCount)(); }
float finite_maximum(const float* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(FiniteMaximum)(x, n); }

}  // namespace lowbit::kernels
#endif
