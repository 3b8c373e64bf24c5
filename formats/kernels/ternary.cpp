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

// Vectors of four doubles, in structures.
#undef LOWBIT_FOUR_DOUBLES
#define LOWBIT_FOUR_DOUBLES (HWY_MAX_BYTES >= 32 && !LOWBIT_SIZELESS && HWY_TARGET != HWY_SCALAR)

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
/// Blocks that are measured side by side, as many as a vector has floats: two vectors of doubles, whose additions do
/// not wait for each other.
constexpr std::size_t kAbreast = HWY_MAX_BYTES / sizeof(float);
using Fh = hn::FixedTag<float, kAbreast / 2>;
using Ds = hn::Rebind<double, Fh>;
using Vd = hn::Vec<Ds>;

/// Four values from x on of the blocks that lie `step` values apart, one block in each 128 bits.
HWY_INLINE V four_of(const float* HWY_RESTRICT x, std::size_t step) {
  const hn::FixedTag<float, 4> f4;
  const hn::FixedTag<float, 8> f8;
  const auto low = hn::Combine(f8, hn::LoadU(f4, x + step), hn::LoadU(f4, x));
#if HWY_MAX_BYTES == 64
  return hn::Combine(D(), hn::Combine(f8, hn::LoadU(f4, x + 3 * step), hn::LoadU(f4, x + 2 * step)), low);
#else
  return low;
#endif
}

/// Magnitudes of four values of kAbreast blocks: lane b of r0 .. r3 belongs to block b.
struct Rows {
  V r0, r1, r2, r3;
};
HWY_INLINE Rows transpose(const float* HWY_RESTRICT x, std::size_t group) {
  const D d;
  const hn::RepartitionToWide<D> d2;
  const auto lower = [&](V a, V b) HWY_ATTR { return hn::BitCast(d2, hn::InterleaveLower(d, a, b)); };
  const auto upper = [&](V a, V b) HWY_ATTR { return hn::BitCast(d2, hn::InterleaveUpper(d, a, b)); };
  // 128 bits k of these: blocks 4 k, 4 k + 1, 4 k + 2, 4 k + 3
  const V a = hn::Abs(four_of(x, 4 * group)), b = hn::Abs(four_of(x + group, 4 * group));
  const V c = hn::Abs(four_of(x + 2 * group, 4 * group)), e = hn::Abs(four_of(x + 3 * group, 4 * group));
  const auto ab = lower(a, b), ce = lower(c, e), ab2 = upper(a, b), ce2 = upper(c, e);
  return {hn::BitCast(d, hn::InterleaveLower(d2, ab, ce)), hn::BitCast(d, hn::InterleaveUpper(d2, ab, ce)),
          hn::BitCast(d, hn::InterleaveLower(d2, ab2, ce2)), hn::BitCast(d, hn::InterleaveUpper(d2, ab2, ce2))};
}

/// Sums in double of the lower and the upper half of the blocks.
struct Sums {
  Vd low, high;
  HWY_INLINE Sums() : low(hn::Zero(Ds())), high(hn::Zero(Ds())) {}
  HWY_INLINE void add(V v) {
    const Fh h;
    low = hn::Add(low, hn::PromoteTo(Ds(), hn::LowerHalf(h, v)));
    high = hn::Add(high, hn::PromoteTo(Ds(), hn::UpperHalf(h, v)));
  }
};

/// v > 0 as a float below it or equal; with `odd` an inexact one has an odd last bit, so that rounding it again to
/// fewer bits equals rounding v.
HWY_INLINE hn::Vec<Fh> below(Vd v, bool odd) {
  const Fh f;
  const hn::RebindToSigned<Fh> i;
  const Ds d;
  const auto nearest = hn::DemoteTo(f, v);
  const auto difference = hn::DemoteTo(f, hn::Sub(hn::PromoteTo(d, nearest), v));
  const auto above = hn::VecFromMask(i, hn::RebindMask(i, hn::Gt(difference, hn::Zero(f))));
  auto bits = hn::Add(hn::BitCast(i, nearest), above);
  const auto inexact = hn::RebindMask(i, hn::Ne(difference, hn::Zero(f)));
  if (odd) bits = hn::Or(bits, hn::IfThenElseZero(inexact, hn::Set(i, 1)));
  return hn::BitCast(f, bits);
}

/// Unrounded scales of half the blocks.
HWY_INLINE void put_scales(const BlockPlan& plan, Vd scale, float* to) {
  hn::StoreU(plan.rounds_scale ? below(scale, true) : hn::DemoteTo(Fh(), scale), Fh(), to);
}

/// Scales and thresholds of the rule twn from the sums of all magnitudes; t: these, transposed.
HWY_INLINE void measure_above(const BlockPlan& plan, const float* HWY_RESTRICT t, Sums all, float* scale,
                              float* threshold) {
  const D d;
  const Fh h;
  const Ds dd;
  const std::size_t half = hn::Lanes(h);
  const Vd group = hn::Set(dd, static_cast<double>(plan.group)), share = hn::Set(dd, 0.7);
  hn::StoreU(below(hn::Mul(share, hn::Div(all.low, group)), false), h, threshold);
  hn::StoreU(below(hn::Mul(share, hn::Div(all.high, group)), false), h, threshold + half);
  // a float is above the threshold iff it is above the largest float that is not
  const DI di;
  const V limit = hn::LoadU(d, threshold);
  VI counts = hn::Zero(di);
  Sums above;
  for (std::size_t i = 0; i < plan.group; ++i) {
    const V v = hn::Load(d, t + kAbreast * i);
    const auto larger = hn::Gt(v, limit);
    above.add(hn::IfThenElseZero(larger, v));
    counts = hn::Sub(counts, hn::VecFromMask(di, hn::RebindMask(di, larger)));
  }
  const V count = hn::ConvertTo(d, hn::Max(counts, hn::Set(di, 1)));
  put_scales(plan, hn::Div(above.low, hn::PromoteTo(dd, hn::LowerHalf(h, count))), scale);
  put_scales(plan, hn::Div(above.high, hn::PromoteTo(dd, hn::UpperHalf(h, count))), scale + half);
}

/// Unrounded scales, thresholds and largest magnitudes of kAbreast blocks. `ahead`: as in quantize_strip; this is the
/// longer part of the work, so that it is the one to fetch meanwhile.
HWY_INLINE void measure_abreast(const BlockPlan& plan, const float* x, Strip& s, std::size_t b, std::size_t ahead) {
  const D d;
  const DI di;
  const std::size_t group = plan.group;
  const bool twn = plan.ternary_rule == ScaleRule::twn;
  HWY_ALIGN float t[kAbreast * kMaxBlock];
  Sums sums;
  VI largest = hn::Zero(di);
  for (std::size_t i = 0; i < group; i += 4) {
    for (std::size_t k = 0; k < 4 * kAbreast; k += 16) hwy::Prefetch(x + ahead + kAbreast * i + k);
    const Rows r = transpose(x + i, group);
    largest = hn::Max(largest, hn::Max(hn::Max(bits_of(r.r0), bits_of(r.r1)), hn::Max(bits_of(r.r2), bits_of(r.r3))));
    sums.add(r.r0), sums.add(r.r1), sums.add(r.r2), sums.add(r.r3);
    if (!twn) continue;
    float* to = t + kAbreast * i;
    hn::Store(r.r0, d, to), hn::Store(r.r1, d, to + kAbreast);
    hn::Store(r.r2, d, to + 2 * kAbreast), hn::Store(r.r3, d, to + 3 * kAbreast);
  }
  float* scale = s.constants + b;
  hn::StoreU(largest, di, s.largest + b);
  if (twn) return measure_above(plan, t, sums, scale, s.constants + Strip::kRoom + b);
  if (plan.ternary_rule == ScaleRule::absmax) return hn::StoreU(float_of(largest), d, scale);
  const Vd n = hn::Set(Ds(), static_cast<double>(group));
  put_scales(plan, hn::Div(sums.low, n), scale);
  put_scales(plan, hn::Div(sums.high, n), scale + hn::Lanes(Fh()));
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

/// Measures the last blocks of a tensor, fewer than kAbreast.
void measure_rest(const BlockPlan& plan, const float* x, std::size_t blocks, Strip& s, std::size_t b) {
  HWY_ALIGN float padded[kAbreast * kMaxBlock];
  std::copy_n(x, blocks * plan.group, padded);
  std::fill_n(padded + blocks * plan.group, (kAbreast - blocks) * plan.group, 0.0f);
  measure_abreast(plan, padded, s, b, 0);
}

/// Blocks of a strip, at most kStripBlocks, into the sink; those with flags to that effect go to unusual(block).
template <class Quantizer, class Sink, class Unusual>
HWY_INLINE void ternary_strip(const Quantizer q, const BlockPlan& plan, const float* x, Sink sink, std::size_t blocks,
                              std::size_t ahead, Strip& s, const Unusual& unusual) {
  const std::size_t group = plan.group, whole = blocks / kAbreast * kAbreast;
  for (std::size_t b = 0; b < whole; b += kAbreast) measure_abreast(plan, x + b * group, s, b, ahead);
  if (whole < blocks) measure_rest(plan, x + whole * group, blocks - whole, s, whole);
  finish(plan, q.round, blocks, s);
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
      const auto unusual = [&](std::size_t b) {
        const std::size_t i = at + b * group;
        reference_group(plan, x + i, y + i, group, index + i);
      };
      if (plan.stream)
        ternary_strip(q, plan, x + at, ValueSink<true>{y + at}, n, strip * group, s, unusual);
      else
        ternary_strip(q, plan, x + at, ValueSink<false>{y + at}, n, strip * group, s, unusual);
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
      ternary_strip(q, plan, x + at, CodeSink{codes}, n, strip * group, s, [&](std::size_t b) {
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
