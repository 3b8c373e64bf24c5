// Rounding to the values of an element, and their codes, on vectors; included once per target by the kernels. Classes
// keep scalars and are handed on by value: vectors of scalable targets cannot be members, and compilers keep copies in
// registers.
#if defined(LOWBIT_KERNELS_GRID_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_GRID_INL_H
#undef LOWBIT_KERNELS_GRID_INL_H
#else
#define LOWBIT_KERNELS_GRID_INL_H
#endif

#include <bit>

#include "formats/kernels/element_params.hpp"
#include "formats/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Entry i of 16 floats.
HWY_INLINE V lookup16(const float* HWY_RESTRICT table, VI i) {
  const D d;
#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE
  return hn::GatherIndex(d, table, i);
#else
  if constexpr (HWY_MAX_BYTES == 64) {
    return hn::TableLookupLanes(hn::LoadU(d, table), hn::IndicesFromVec(d, i));
  } else if constexpr (HWY_MAX_BYTES == 32) {
    const DI di;
    const auto lane = hn::IndicesFromVec(d, hn::And(i, hn::Set(di, 7)));
    const V low = hn::TableLookupLanes(hn::LoadU(d, table), lane);
    const V high = hn::TableLookupLanes(hn::LoadU(d, table + 8), lane);
    return hn::IfThenElse(hn::RebindMask(d, hn::Gt(i, hn::Set(di, 7))), high, low);
  } else {
    return hn::GatherIndex(d, table, i);
  }
#endif
}

/// A floating element. The spacing of the values around x is 2^(e - M), e the exponent of x but at least that of the
/// smallest normal, given as float bits in `low` so that scaled grids need no scaled values. Adding and subtracting
/// C = 1.5 * 2^(e - M + 23) leaves x rounded to a multiple of the spacing, ties to even (1.5 keeps the sum in one
/// binade for both signs); a carry into the next binade is exact.
template <bool kAway>
struct FloatGrid {
  static constexpr bool kDraws = !kAway;  ///< one type serves rne and stochastic rounding
  int mantissa_bits, drop;                ///< M, 23 - M
  std::int32_t negative_zero;             ///< sign bit if the element has a -0
  std::int32_t max_code, code_mask;       ///< code_mask: all bits of a magnitude
  int sign_shift;                         ///< from the sign of a float to that of the code
  explicit FloatGrid(const ElementParams& p)
      : mantissa_bits(p.mantissa_bits),
        drop(23 - p.mantissa_bits),
        negative_zero(p.negative_zero ? kSignMask : 0),
        max_code(p.max_code),
        code_mask(static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint32_t>(p.max_code) + 1) - 1)),
        sign_shift(32 - p.bits) {}

  /// Nearest grid value of finite x; with kSaturate |x| beyond `limit` gives `limit`.
  template <bool kSaturate>
  HWY_INLINE V value(V x, VI low, V limit) const {
    const DI di;
    x = kept(x);
    const VI e = hn::Max(hn::And(bits_of(x), hn::Set(di, kExponentMask)), low);
    const V c = float_of(hn::Add(e, hn::Set(di, (drop << 23) | 0x400000)));
    V r = hn::Sub(hn::Add(x, c), c);
    if constexpr (kAway) {
      // a tie that went toward zero leaves half the spacing with the sign of x
      const V half = float_of(hn::Sub(e, hn::Set(di, (mantissa_bits + 1) << 23)));
      const V left = hn::Sub(x, r);
      r = hn::IfThenElse(hn::Eq(left, hn::CopySign(half, x)), hn::Add(x, left), r);
    }
    if constexpr (kSaturate) r = clamp_magnitude(r, limit);
    return hn::Or(r, hn::And(x, float_of(hn::Set(di, negative_zero))));
  }

  /// What code() adds to e and to the binade's number e >> drop for C, all in float bits.
  HWY_INLINE VI code_offset(VI low) const { return hn::Sub(hn::Set(DI(), drop << 23), shift_right(low, drop)); }

  /// Code of the same value; without kSaturate |x| must not round beyond the largest. C has the code of the binade in
  /// its low bits, so that the low bits of |x| + C are the whole code. (That part is even: ties stay ties to even.)
  template <bool kSaturate>
  HWY_INLINE VI code(V x, VI low, V limit, VI offset) const {
    const DI di;
    const V a = kSaturate ? smaller_magnitude(x, limit) : hn::Abs(x);
    const VI e = hn::Max(hn::And(bits_of(a), hn::Set(di, kExponentMask)), low);
    const VI c = hn::Add(hn::Add(e, offset), shift_right(e, drop));
    const V sum = hn::Add(a, float_of(c));
    VI code = bits_of(sum);
    if constexpr (kAway) {
      const V half = float_of(hn::Sub(e, hn::Set(di, (mantissa_bits + 1) << 23)));
      const auto tie = hn::Eq(hn::Sub(a, hn::Sub(sum, float_of(c))), half);
      code = hn::Sub(code, bits_of(hn::VecFromMask(D(), tie)));
    }
    const VI mask = hn::Set(di, code_mask);
    if (HWY_UNLIKELY(negative_zero == 0)) {
      code = hn::And(code, mask);
      return hn::Or(code, sign_of(x, code));
    }
    return chosen(mask, code, shift_right(bits_of(x), sign_shift));
  }

  HWY_INLINE VI exponent(V x, VI low) const { return hn::Max(hn::And(bits_of(x), hn::Set(DI(), kExponentMask)), low); }
  /// Bits of 2^23 spacings around values with the exponent bits e.
  HWY_INLINE VI spacings(VI e) const { return hn::Add(e, hn::Set(DI(), drop << 23)); }
  HWY_INLINE VI random_code(V x, VI low, VU word) const {
    const VI e = exponent(x, low);
    const VI binade = shift_right(hn::Sub(e, low), drop);
    const VI multiple = drawn_multiple(hn::Abs(x), spacings(e), word);
    const VI code = hn::Min(hn::Add(multiple, binade), hn::Set(DI(), max_code));
    return hn::Or(code, sign_of(x, code));
  }
  HWY_INLINE V random_value(V x, VI low, V limit, VU word) const {
    const DI di;
    x = kept(x);
    const V r = hn::Min(drawn_value(hn::Abs(x), spacings(exponent(x, low)), word), limit);
    if (HWY_LIKELY(negative_zero != 0)) return hn::Or(r, hn::And(x, float_of(hn::Set(di, kSignMask))));
    const VI kept = hn::Or(mask_bits(hn::Gt(bits_of(r), hn::Zero(di))), hn::Set(di, negative_zero));
    return float_of(hn::Or(bits_of(r), hn::And(hn::And(bits_of(x), kept), hn::Set(di, kSignMask))));
  }

  /// Sign bit of the code of x.
  HWY_INLINE VI sign_of(V x, VI code) const {
    const DI di;
    const VI kept = hn::Or(mask_bits(hn::Gt(code, hn::Zero(di))), hn::Set(di, negative_zero));
    return shift_right(hn::And(hn::And(bits_of(x), kept), hn::Set(di, kSignMask)), sign_shift);
  }
};

/// Multiples of a power of two `step`, given as C = 1.5 * 2^23 * step; zeros are +0.
template <bool kAway>
struct IntegerGrid {
  static constexpr bool kDraws = !kAway;
  std::int32_t q_min, q_max;
  explicit IntegerGrid(const ElementParams& p)
      : q_min(static_cast<std::int32_t>(p.q_min)), q_max(static_cast<std::int32_t>(p.q_max)) {}

  /// C and the bounds of the integers themselves.
  static constexpr float kUnit = 0x1.8p23f;

  HWY_INLINE V round(V x, V c) const {
    const V r = hn::Sub(hn::Add(x, c), c);
    if constexpr (!kAway) return r;
    const V half = float_of(hn::Sub(hn::And(bits_of(c), hn::Set(DI(), kExponentMask)), hn::Set(DI(), 24 << 23)));
    const V left = hn::Sub(x, r);
    return hn::IfThenElse(hn::Eq(left, hn::CopySign(half, x)), hn::Add(x, left), r);
  }

  /// Nearest multiple of |x| < 2^22 step, or any x that is clamped; from `low` to `high`.
  template <bool kSaturate>
  HWY_INLINE V value(V x, V c, V low, V high) const {
    if constexpr (!kSaturate) return round(x, c);
    return hn::Min(hn::Max(round(x, c), low), high);
  }

  /// The multiple in the low 22 bits of each lane, in two's complement; what lies above is no part of it. Bounds are
  /// multiples, so clamping before rounding changes nothing.
  HWY_INLINE VI code(V x, V c, V low, V high) const {
    const V clamped = hn::Min(hn::Max(x, low), high);
    return bits_of(hn::Add(kAway ? round(clamped, c) : clamped, c));
  }

  /// Bits of 2^23 steps.
  HWY_INLINE VI steps(V c) const { return hn::And(bits_of(c), hn::Set(DI(), kExponentMask)); }
  HWY_INLINE VI random_code(V x, V c, V low, V high, VU word) const {
    const V clamped = hn::Min(hn::Max(x, low), high);
    const VI multiple = drawn_multiple(hn::Abs(clamped), steps(c), word);
    return hn::IfThenElse(hn::RebindMask(DI(), hn::Lt(x, hn::Zero(D()))), hn::Neg(multiple), multiple);
  }
  HWY_INLINE V random_value(V x, V c, V low, V high, VU word) const {
    const V clamped = hn::Min(hn::Max(x, low), high);
    const V r = drawn_value(hn::Abs(clamped), steps(c), word);
    return hn::Add(hn::CopySign(r, clamped), hn::Zero(D()));  // no -0
  }
};

/// A sorted list of at most 16 values.
struct CodebookGrid {
  static constexpr bool kDraws = false;
  ElementParams p;
  explicit CodebookGrid(const ElementParams& element) : p(element) {}

  /// Number of thresholds below x, by bisection.
  HWY_INLINE VI place(V x) const {
    const D d;
    const DI di;
    const auto step = [&](VI at, V threshold, int size) HWY_ATTR {
      const auto above = hn::RebindMask(di, hn::Gt(x, threshold));
      return hn::Add(at, hn::IfThenElseZero(above, hn::Set(di, size)));
    };
    VI at = step(hn::Zero(di), hn::Set(d, p.threshold[7]), 8);
    at = step(at, lookup16(p.threshold, hn::Add(at, hn::Set(di, 3))), 4);
    at = step(at, lookup16(p.threshold, hn::Add(at, hn::Set(di, 1))), 2);
    return step(at, lookup16(p.threshold, at), 1);
  }

  HWY_INLINE V value(V x) const {
    const D d;
    const V r = lookup16(p.value_of, place(x));
    return p.negative_zero ? hn::IfThenElse(hn::Eq(r, hn::Zero(d)), hn::CopySign(r, x), r) : r;
  }

  HWY_INLINE VI code(V x) const {
    const DI di;
    const VI r = bits_of(lookup16(reinterpret_cast<const float*>(p.code_of), place(x)));
    if (!p.negative_zero) return r;
    const VI sign = hn::And(shift_right(bits_of(x), 32 - p.bits), hn::Set(di, 1 << (p.bits - 1)));
    return hn::IfThenElse(hn::Eq(r, hn::Zero(di)), sign, r);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
