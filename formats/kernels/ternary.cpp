// Vector kernels of ternary blocks. Their means are sums in double in the order of the values: as many blocks as a
// vector has doubles are summed side by side, one a lane, from a transposed copy in the first cache.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/ternary.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "formats/code_store.hpp"
#include "formats/kernels/codes-inl.h"
#include "formats/kernels/pack-inl.h"
#include "formats/kernels/strip-inl.h"
#include "formats/kernels/ternary.hpp"

// Vectors of four doubles.
#undef LOWBIT_FOUR_DOUBLES
#define LOWBIT_FOUR_DOUBLES (HWY_MAX_BYTES >= 32 && !HWY_HAVE_SCALABLE && HWY_TARGET != HWY_SCALAR)

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Digits by a threshold: constants scale, threshold.
struct TernaryThreshold {
  static constexpr int kConstants = 2;
  static constexpr bool kDraws = false;
  ScaleRounder round;
  explicit TernaryThreshold(const BlockPlan& plan) : round(plan.scale_element, plan.rounds_scale) {}
  HWY_INLINE V value(V x, V c0, V c1, V) const {
    return hn::IfThenElseZero(hn::Gt(hn::Abs(x), c1), hn::CopySign(c0, x));
  }
  HWY_INLINE VI code(V x, V, V c1, V) const {
    const D d;
    return hn::ConvertTo(DI(), hn::Add(value(x, hn::Set(d, 1.0f), c1, c1), hn::Set(d, 1.0f)));
  }
  HWY_INLINE VI scale_code(V c0, V, V) const { return round.code(c0); }
  HWY_INLINE VI zero_code(V, V, V) const { return hn::Zero(DI()); }
};

/// Digits by rounding x / scale.
template <bool kAway>
struct TernaryNearest : TernaryThreshold {
  IntegerGrid<kAway> grid;
  explicit TernaryNearest(const BlockPlan& plan) : TernaryThreshold(plan), grid(plan.element) {}
  HWY_INLINE V digit(V x, V c0) const {
    const V one = hn::Set(D(), 1.0f), v = hn::Min(hn::Max(hn::Div(x, c0), hn::Neg(one)), one);
    return grid.round(v, hn::Set(D(), grid.kUnit));
  }
  HWY_INLINE V value(V x, V c0, V, V) const { return hn::Mul(digit(x, c0), c0); }
  HWY_INLINE VI code(V x, V c0, V, V) const { return hn::ConvertTo(DI(), hn::Add(digit(x, c0), hn::Set(D(), 1.0f))); }
};

#if LOWBIT_FOUR_DOUBLES
/// Blocks that are measured side by side: the doubles of a vector.
constexpr std::size_t kAbreast = HWY_MAX_BYTES / sizeof(double);
using F4 = hn::FixedTag<float, 4>;
using Fs = hn::FixedTag<float, kAbreast>;
using Is = hn::RebindToSigned<Fs>;
using Ds = hn::Rebind<double, Fs>;

/// Magnitudes of four times four values: vector r of the result holds value r of four blocks.
struct Sixteen {
  hn::Vec<F4> r0, r1, r2, r3;
};
HWY_INLINE Sixteen transpose(const float* HWY_RESTRICT x, std::size_t group) {
  const F4 d;
  const auto a = hn::Abs(hn::LoadU(d, x)), b = hn::Abs(hn::LoadU(d, x + group));
  const auto c = hn::Abs(hn::LoadU(d, x + 2 * group)), e = hn::Abs(hn::LoadU(d, x + 3 * group));
  const auto ab = hn::InterleaveLower(d, a, b), ce = hn::InterleaveLower(d, c, e);
  const auto ab2 = hn::InterleaveUpper(d, a, b), ce2 = hn::InterleaveUpper(d, c, e);
  return {hn::ConcatLowerLower(d, ce, ab), hn::ConcatUpperUpper(d, ce, ab), hn::ConcatLowerLower(d, ce2, ab2),
          hn::ConcatUpperUpper(d, ce2, ab2)};
}

/// to[kAbreast * i + b] = magnitude of value i of block b. Whole vectors are stored: loads of a vector that was stored
/// in halves would wait.
template <class Tag>
HWY_INLINE void transpose_abreast(const Tag d, const float* HWY_RESTRICT x, std::size_t group, float* HWY_RESTRICT to) {
  for (std::size_t i = 0; i < group; i += 4, to += 4 * kAbreast) {
    const Sixteen low = transpose(x + i, group);
    if constexpr (kAbreast == 4) {
      hn::Store(low.r0, d, to), hn::Store(low.r1, d, to + kAbreast);
      hn::Store(low.r2, d, to + 2 * kAbreast), hn::Store(low.r3, d, to + 3 * kAbreast);
    } else {
      const Sixteen high = transpose(x + 4 * group + i, group);
      hn::Store(hn::Combine(d, high.r0, low.r0), d, to);
      hn::Store(hn::Combine(d, high.r1, low.r1), d, to + kAbreast);
      hn::Store(hn::Combine(d, high.r2, low.r2), d, to + 2 * kAbreast);
      hn::Store(hn::Combine(d, high.r3, low.r3), d, to + 3 * kAbreast);
    }
  }
}

/// v > 0 as a float below it or equal; with `odd` an inexact one has an odd last bit, so that rounding it again to
/// fewer bits equals rounding v.
HWY_INLINE hn::Vec<Fs> below(hn::Vec<Ds> v, bool odd) {
  const Fs f;
  const Is i;
  const Ds d;
  const auto nearest = hn::DemoteTo(f, v);
  const auto difference = hn::DemoteTo(f, hn::Sub(hn::PromoteTo(d, nearest), v));
  const auto above = hn::VecFromMask(i, hn::RebindMask(i, hn::Gt(difference, hn::Zero(f))));
  auto bits = hn::Add(hn::BitCast(i, nearest), above);
  const auto inexact = hn::RebindMask(i, hn::Ne(difference, hn::Zero(f)));
  if (odd) bits = hn::Or(bits, hn::IfThenElseZero(inexact, hn::Set(i, 1)));
  return hn::BitCast(f, bits);
}

/// Unrounded scales, thresholds and largest magnitudes of kAbreast blocks.
HWY_INLINE void measure_abreast(const BlockPlan& plan, const float* x, Strip& s, std::size_t b) {
  const Fs f;
  const Is i4;
  const Ds d;
  const std::size_t group = plan.group;
  HWY_ALIGN float t[kAbreast * kMaxBlock];
  transpose_abreast(f, x, group, t);
  auto sum = hn::Zero(d);
  auto largest = hn::Zero(i4);
  for (std::size_t i = 0; i < group; ++i) {
    const auto v = hn::Load(f, t + kAbreast * i);
    largest = hn::Max(largest, hn::BitCast(i4, v));
    sum = hn::Add(sum, hn::PromoteTo(d, v));
  }
  auto scale = hn::Div(sum, hn::Set(d, static_cast<double>(group)));
  if (plan.ternary_rule == ScaleRule::absmax) scale = hn::PromoteTo(d, hn::BitCast(f, largest));
  if (plan.ternary_rule == ScaleRule::twn) {
    const auto threshold = hn::Mul(hn::Set(d, 0.7), scale);
    auto count = hn::Zero(d), above = hn::Zero(d);
    for (std::size_t i = 0; i < group; ++i) {
      const auto v = hn::PromoteTo(d, hn::Load(f, t + kAbreast * i));
      const auto larger = hn::Gt(v, threshold);
      above = hn::Add(above, hn::IfThenElseZero(larger, v));
      count = hn::Add(count, hn::IfThenElseZero(larger, hn::Set(d, 1.0)));
    }
    scale = hn::Div(above, hn::Max(count, hn::Set(d, 1.0)));
    hn::StoreU(below(threshold, false), f, s.constants + Strip::kRoom + b);
  }
  hn::StoreU(plan.rounds_scale ? below(scale, true) : hn::DemoteTo(f, scale), f, s.constants + b);
  hn::StoreU(largest, i4, s.largest + b);
}

/// Flags, and scales rounded to their element.
HWY_INLINE void finish(const BlockPlan& plan, const ScaleRounder round, std::size_t blocks, Strip& s) {
  const D d;
  const DI di;
  for (std::size_t b = 0; b < blocks; b += hn::Lanes(d)) {
    const V quotient = hn::LoadU(d, s.constants + b);
    const VI largest = hn::LoadU(di, s.largest + b);
    hn::StoreU(round(quotient), d, s.constants + b);
    // below 2^-60 what is left of a double no longer shows in a float
    const V low = hn::Set(d, std::max(plan.scale_low, 0x1p-60f));
    const auto in_range = hn::And(hn::Ge(quotient, low), hn::Lt(quotient, hn::Set(d, plan.scale_high)));
    const auto ordinary = hn::And(hn::RebindMask(di, in_range), hn::Lt(largest, hn::Set(di, kExponentMask)));
    hn::StoreU(flags_of(ordinary, hn::Eq(largest, hn::Zero(di))), di, s.flags + b);
  }
}

/// Blocks of a strip, at most kStripBlocks, into the sink; the last ones, fewer than kAbreast, go to unusual(block), as
/// do those with flags to that effect.
template <class Quantizer, class Sink, class Unusual>
HWY_INLINE void ternary_strip(const Quantizer q, const BlockPlan& plan, const float* x, Sink sink, std::size_t blocks,
                              Strip& s, const Unusual& unusual) {
  const std::size_t group = plan.group, whole = blocks / kAbreast * kAbreast;
  for (std::size_t b = 0; b < whole; b += kAbreast) measure_abreast(plan, x + b * group, s, b);
  finish(plan, q.round, blocks, s);
  for (std::size_t b = whole; b < blocks; ++b) s.flags[b] = kUnusual;
  for (std::size_t b = 0; b < blocks; ++b) {
    const Sink to = sink.at(b * group);
    if (HWY_LIKELY(s.flags[b] == kOrdinary))
      quantize_block<false, 0>(q, s, b, x + b * group, to, group, nullptr, 0);
    else if (s.flags[b] == kZero)
      to.zeros(group, plan.zero_code);
    else
      unusual(b);
  }
}

template <class Use>
HWY_INLINE void with_ternary(const BlockPlan& plan, const Use& use) {
  if (plan.ternary_rule == ScaleRule::twn) return use(TernaryThreshold(plan));
  if (plan.rounding == Rounding::rna) return use(TernaryNearest<true>(plan));
  use(TernaryNearest<false>(plan));
}

/// Blocks of a strip: the transposed copies stay in the first cache.
HWY_INLINE std::size_t ternary_blocks(std::size_t group) {
  return std::max(kAbreast, std::min<std::size_t>(128, 2048 / group / kAbreast * kAbreast));
}
#endif

void QuantizeTernary(const BlockPlan& plan, const float* x, float* y, std::size_t blocks, std::uint64_t index) {
#if LOWBIT_FOUR_DOUBLES
  const std::size_t group = plan.group, strip = ternary_blocks(group);
  with_ternary(plan, [&](const auto q) HWY_ATTR {
    Strip s = {};
    for (std::size_t first = 0; first < blocks; first += strip) {
      const std::size_t n = std::min(strip, blocks - first), at = first * group;
      ternary_strip(q, plan, x + at, ValueSink<false>{y + at}, n, s, [&](std::size_t b) {
        const std::size_t i = at + b * group;
        reference_group(plan, x + i, y + i, group, index + i);
      });
    }
  });
#else
  for (std::size_t b = 0; b < blocks; ++b)
    reference_group(plan, x + b * plan.group, y + b * plan.group, plan.group, index + b * plan.group);
#endif
}

void EncodeTernary(const BlockPlan& plan, const float* x, std::size_t blocks, std::uint64_t index, SplitParts out) {
#if LOWBIT_FOUR_DOUBLES
  const std::size_t group = plan.group, strip = ternary_blocks(group);
  with_ternary(plan, [&](const auto q) HWY_ATTR {
    HWY_ALIGN std::uint8_t buffer[kAbreast * kMaxBlock + 2048];
    Strip s = {};
    StripCodes c;
    for (std::size_t first = 0; first < blocks; first += strip, out = out.from(strip, strip * group)) {
      const std::size_t n = std::min(strip, blocks - first), at = first * group;
      std::uint8_t* codes = out.bits == 8 ? out.codes : buffer;
      StripCodes unusual;
      ternary_strip(q, plan, x + at, CodeSink{codes}, n, s, [&](std::size_t b) {
        const std::size_t i = b * group;
        unusual.scale[b] = reference_codes(plan, x + at + i, group, index + at + i, 1, codes + i).scale_code;
      });
      scale_codes(q, s, n, c);
      for (std::size_t b = 0; b < n; ++b)
        if (s.flags[b] == kUnusual) c.scale[b] = unusual.scale[b];
      put_parts(c, n, out);
      if (out.bits != 8) pack_bits(out.bits, codes, n * group, out.codes);
    }
  });
#else
  for (std::size_t b = 0; b < blocks; ++b)
    encode_group(plan, x + b * plan.group, plan.group, index + b * plan.group, out.from(b, b * plan.group));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {

HWY_EXPORT(QuantizeTernary);
HWY_EXPORT(EncodeTernary);
void quantize_ternary(const BlockPlan& plan, const float* x, float* y, std::size_t blocks, std::uint64_t index) {
  HWY_DYNAMIC_DISPATCH(QuantizeTernary)(plan, x, y, blocks, index);
}
void encode_ternary(const BlockPlan& plan, const float* x, std::size_t blocks, std::uint64_t index, SplitParts out) {
  HWY_DYNAMIC_DISPATCH(EncodeTernary)(plan, x, blocks, index, out);
}

}  // namespace lowbit::kernels
#endif
