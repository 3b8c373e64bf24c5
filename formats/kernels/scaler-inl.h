// Quantisers of groups: from what was measured of a group to the constants that its values need, and from values to
// quantised values or codes. One lane is one group in prepare(), one value in value() and code(); included per target.
#if defined(LOWBIT_KERNELS_SCALER_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_SCALER_INL_H
#undef LOWBIT_KERNELS_SCALER_INL_H
#else
#define LOWBIT_KERNELS_SCALER_INL_H
#endif

#include "formats/kernels/grid-inl.h"
#include "formats/kernels/plan.hpp"
#include "formats/kernels/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Where prepare() leaves the constants of consecutive groups: constant k of group b at data[k * stride + b].
struct Constants {
  float* data;
  std::size_t stride;
  HWY_INLINE void put(int k, V v) const { hn::StoreU(v, D(), data + static_cast<std::size_t>(k) * stride); }
};

/// prepare() tells these of each group.
constexpr std::int32_t kOrdinary = 0, kZero = 1, kUnusual = 2;  // all values are zeros; the reference has to do it

HWY_INLINE VI flags_of(hn::Mask<DI> ordinary, hn::Mask<DI> zero) {
  const DI di;
  return hn::IfThenElse(zero, hn::Set(di, kZero), hn::IfThenZeroElse(ordinary, hn::Set(di, kUnusual)));
}

/// Rounding of scales to a floating element of at most 16 bits, to nearest even, saturating; fp32 stays.
struct ScaleRounder {
  FloatGrid<false> grid;
  std::int32_t low;
  float limit;
  bool rounds;
  ScaleRounder(const ElementParams& p, bool rounds_it)
      : grid(p), low(p.min_normal_bits), limit(p.max), rounds(rounds_it) {}
  HWY_INLINE V operator()(V v) const {
    return rounds ? grid.value<true>(v, hn::Set(DI(), low), hn::Set(D(), limit)) : v;
  }
  HWY_INLINE VI code(V rounded) const {
    const VI smallest = hn::Set(DI(), low);
    return rounds ? grid.code<false>(rounded, smallest, rounded, grid.code_offset(smallest)) : bits_of(rounded);
  }
};

/// E8M0 scales: the grid is scaled, not the values.
struct PowerOfTwo {
  std::int32_t add, emax, low, high;
  explicit PowerOfTwo(const BlockPlan& plan)
      : add(plan.rule.add), emax(plan.rule.emax_bits), low(plan.rule.low), high(plan.rule.high) {}
  /// Bits of the power of two that scales the grid.
  HWY_INLINE VI scale(VI amax) const {
    const DI di;
    return hn::Sub(hn::And(hn::Add(amax, hn::Set(di, add)), hn::Set(di, kExponentMask)), hn::Set(di, emax));
  }
  HWY_INLINE VI flags(VI amax) const {
    const DI di;
    const auto ordinary = hn::And(hn::Gt(amax, hn::Set(di, low - 1)), hn::Lt(amax, hn::Set(di, high)));
    return flags_of(ordinary, hn::Eq(amax, hn::Zero(di)));
  }
};

template <bool kAway, bool kSaturate>
struct PowerFloat {
  static constexpr bool kDraws = !kAway;
  static constexpr bool kAwayFromZero = kAway;
  static constexpr int kConstants = 3;
  static constexpr bool kRange = false;
  PowerOfTwo scaler;
  FloatGrid<kAway> grid;
  std::int32_t min_normal;
  float max;
  explicit PowerFloat(const BlockPlan& plan)
      : scaler(plan), grid(plan.element), min_normal(plan.element.min_normal_bits), max(plan.element.max) {}

  HWY_INLINE VI prepare(VI amax, VI, const Constants& c) const {
    const DI di;
    const VI scale = scaler.scale(amax);
    const VI low = hn::Add(scale, hn::Set(di, min_normal - (127 << 23)));
    c.put(0, float_of(low));
    c.put(1, hn::Mul(float_of(scale), hn::Set(D(), max)));
    c.put(2, float_of(grid.code_offset(low)));
    return scaler.flags(amax);
  }
  HWY_INLINE V value(V x, V c0, V c1, V) const { return grid.template value<kSaturate>(x, bits_of(c0), c1); }
  HWY_INLINE VI code(V x, V c0, V c1, V c2) const {
    return grid.template code<kSaturate>(x, bits_of(c0), c1, bits_of(c2));
  }
  HWY_INLINE V random_value(V x, V c0, V c1, V, VU word) const { return grid.random_value(x, bits_of(c0), c1, word); }
  HWY_INLINE VI random_code(V x, V c0, V, V, VU word) const { return grid.random_code(x, bits_of(c0), word); }
  HWY_INLINE VI scale_code(V c0, V, V) const {
    return shift_right(hn::Sub(bits_of(c0), hn::Set(DI(), min_normal - (127 << 23))), 23);
  }
  HWY_INLINE VI zero_code(V, V, V) const { return hn::Zero(DI()); }
};

template <bool kAway, bool kSaturate>
struct PowerInteger {
  static constexpr bool kDraws = !kAway;
  static constexpr bool kAwayFromZero = kAway;
  static constexpr int kConstants = 3;
  static constexpr bool kRange = false;
  PowerOfTwo scaler;
  IntegerGrid<kAway> grid;
  int implicit_exponent;
  explicit PowerInteger(const BlockPlan& plan)
      : scaler(plan), grid(plan.element), implicit_exponent(plan.element.implicit_exponent) {}

  HWY_INLINE VI prepare(VI amax, VI, const Constants& c) const {
    const D d;
    const VI step = scaler.scale(amax);
    c.put(0, hn::Mul(float_of(step), hn::Set(d, grid.kUnit)));
    c.put(1, hn::Mul(float_of(step), hn::Set(d, static_cast<float>(grid.q_min))));
    c.put(2, hn::Mul(float_of(step), hn::Set(d, static_cast<float>(grid.q_max))));
    return scaler.flags(amax);
  }
  HWY_INLINE V value(V x, V c0, V c1, V c2) const { return grid.template value<kSaturate>(x, c0, c1, c2); }
  HWY_INLINE VI code(V x, V c0, V c1, V c2) const { return grid.code(x, c0, c1, c2); }
  HWY_INLINE V random_value(V x, V c0, V c1, V c2, VU word) const { return grid.random_value(x, c0, c1, c2, word); }
  HWY_INLINE VI random_code(V x, V c0, V c1, V c2, VU word) const { return grid.random_code(x, c0, c1, c2, word); }
  HWY_INLINE VI scale_code(V c0, V, V) const {
    return hn::Add(shift_right(bits_of(c0), 23), hn::Set(DI(), implicit_exponent - 23));
  }
  HWY_INLINE VI zero_code(V, V, V) const { return hn::Zero(DI()); }
};

/// Scale amax / divisor rounded to the scale element; with a second level amax / (divisor * G), times G.
template <bool kSecond>
struct Quotient {
  static constexpr int kConstants = kSecond ? 2 : 1;  // divisor of the values; scale without G
  static constexpr bool kRange = false;
  float divisor, second, scale_low, scale_high;
  ScaleRounder round;
  explicit Quotient(const BlockPlan& plan)
      : divisor(kSecond ? plan.divisor * plan.second : plan.divisor),
        second(plan.second),
        scale_low(plan.scale_low),
        scale_high(plan.scale_high),
        round(plan.scale_element, plan.rounds_scale) {}

  HWY_INLINE VI prepare(VI amax, VI, const Constants& c) const {
    const D d;
    const DI di;
    const V quotient = hn::Div(float_of(amax), hn::Set(d, divisor));
    const V scale = round(quotient);
    c.put(0, kSecond ? hn::Mul(scale, hn::Set(d, second)) : scale);
    if constexpr (kSecond) c.put(1, scale);
    const auto ordinary = hn::And(hn::Ge(quotient, hn::Set(d, scale_low)), hn::Lt(quotient, hn::Set(d, scale_high)));
    return flags_of(hn::RebindMask(di, ordinary), hn::Eq(amax, hn::Zero(di)));
  }
  /// element * block scale is exact in float under a second level, so this rounds once.
  HWY_INLINE V scaled(V element, V c0, V c1) const {
    if constexpr (!kSecond) return hn::Mul(element, c0);
    return hn::Mul(hn::Mul(element, c1), hn::Set(D(), second));
  }
  HWY_INLINE VI scale_code(V c0, V c1, V) const { return round.code(kSecond ? c1 : c0); }
  HWY_INLINE VI zero_code(V, V, V) const { return hn::Zero(DI()); }
};

template <bool kSecond, bool kAway>
struct QuotientFloat : Quotient<kSecond> {
  static constexpr bool kDraws = !kAway;
  static constexpr bool kAwayFromZero = kAway;
  FloatGrid<kAway> grid;
  std::int32_t min_normal;
  float max;
  explicit QuotientFloat(const BlockPlan& plan)
      : Quotient<kSecond>(plan), grid(plan.element), min_normal(plan.element.min_normal_bits), max(plan.element.max) {}
  HWY_INLINE V value(V x, V c0, V c1, V) const {
    const V r = grid.template value<true>(hn::Div(x, c0), hn::Set(DI(), min_normal), hn::Set(D(), max));
    return this->scaled(r, c0, c1);
  }
  HWY_INLINE VI code(V x, V c0, V, V) const {
    const VI smallest = hn::Set(DI(), min_normal);
    return grid.template code<true>(hn::Div(x, c0), smallest, hn::Set(D(), max), grid.code_offset(smallest));
  }
  HWY_INLINE V random_value(V x, V c0, V c1, V, VU word) const {
    const VI smallest = hn::Set(DI(), min_normal);
    return this->scaled(grid.random_value(hn::Div(x, c0), smallest, hn::Set(D(), max), word), c0, c1);
  }
  HWY_INLINE VI random_code(V x, V c0, V, V, VU word) const {
    return grid.random_code(hn::Div(x, c0), hn::Set(DI(), min_normal), word);
  }
};

template <bool kSecond, bool kAway>
struct QuotientInteger : Quotient<kSecond> {
  static constexpr bool kDraws = !kAway;
  static constexpr bool kAwayFromZero = kAway;
  IntegerGrid<kAway> grid;
  float least, largest;
  explicit QuotientInteger(const BlockPlan& plan)
      : Quotient<kSecond>(plan), grid(plan.element), least(plan.element.q_min), largest(plan.element.q_max) {}
  HWY_INLINE V unit() const { return hn::Set(D(), grid.kUnit); }
  HWY_INLINE V low() const { return hn::Set(D(), least); }
  HWY_INLINE V high() const { return hn::Set(D(), largest); }
  HWY_INLINE V value(V x, V c0, V c1, V) const {
    return this->scaled(grid.template value<true>(hn::Div(x, c0), unit(), low(), high()), c0, c1);
  }
  HWY_INLINE VI code(V x, V c0, V, V) const { return grid.code(hn::Div(x, c0), unit(), low(), high()); }
  HWY_INLINE V random_value(V x, V c0, V c1, V, VU word) const {
    return this->scaled(grid.random_value(hn::Div(x, c0), unit(), low(), high(), word), c0, c1);
  }
  HWY_INLINE VI random_code(V x, V c0, V, V, VU word) const {
    return grid.random_code(hn::Div(x, c0), unit(), low(), high(), word);
  }
};

template <bool kSecond>
struct QuotientCodebook : Quotient<kSecond> {
  static constexpr bool kDraws = false;
  static constexpr bool kAwayFromZero = false;
  CodebookGrid grid;
  explicit QuotientCodebook(const BlockPlan& plan) : Quotient<kSecond>(plan), grid(plan.element) {}
  HWY_INLINE V value(V x, V c0, V c1, V) const { return this->scaled(grid.value(hn::Div(x, c0)), c0, c1); }
  HWY_INLINE VI code(V x, V c0, V, V) const { return grid.code(hn::Div(x, c0)); }
};

/// Integers 0 .. levels under a scale made of the range, offset by a zero point or a minimum.
template <bool kMinimum, bool kAway>
struct Shifted {
  static constexpr bool kDraws = !kAway;
  static constexpr bool kAwayFromZero = kAway;
  static constexpr int kConstants = 2;  // scale; zero point or minimum
  static constexpr bool kRange = true;
  float levels, low, high;
  ScaleRounder round, round_zero;
  IntegerGrid<kAway> grid;
  IntegerGrid<false> zero_grid;
  explicit Shifted(const BlockPlan& plan)
      : levels(static_cast<float>((1 << plan.element.bits) - 1)),
        low(plan.scale_low),
        high(plan.scale_high),
        round(plan.scale_element, plan.rounds_scale),
        round_zero(plan.zero_element, plan.rounds_zero),
        grid(plan.element),
        zero_grid(plan.element) {}

  /// `least` and `largest`: smallest and largest value, as ordered().
  HWY_INLINE VI prepare(VI least, VI largest, const Constants& c) const {
    const D d;
    const DI di;
    const V zero = hn::Zero(d);
    V first = hn::Add(float_of(ordered(least)), zero), last = hn::Add(float_of(ordered(largest)), zero);
    const auto finite =
        hn::And(hn::Lt(largest, hn::Set(di, kExponentMask)), hn::Gt(least, hn::Set(di, ~kExponentMask)));
    const auto zeros = hn::And(hn::Eq(least, hn::Zero(di)), hn::Eq(largest, hn::Zero(di)));
    if constexpr (!kMinimum) first = hn::Min(first, zero), last = hn::Max(last, zero);
    const V quotient = hn::Div(hn::Sub(last, first), hn::Set(d, levels));
    const V scale = round(quotient);
    c.put(0, scale);
    if constexpr (kMinimum) {
      c.put(1, round_zero(first));
    } else {
      const V z = hn::Div(hn::Neg(first), scale);
      c.put(1, zero_grid.template value<true>(z, hn::Set(d, grid.kUnit), zero, hn::Set(d, levels)));
    }
    const auto in_range = hn::And(hn::And(hn::Ge(quotient, hn::Set(d, low)), hn::Lt(quotient, hn::Set(d, high))),
                                  hn::Lt(hn::Abs(first), hn::Set(d, high)));
    return flags_of(hn::And(finite, hn::RebindMask(di, in_range)), zeros);
  }
  /// x in units of the scale, from zero or from the minimum; far positions are as good as the nearest that clamps.
  HWY_INLINE V position(V x, V c0, V c1) const {
    const V bound = hn::Set(D(), 0x1p20f);
    const V p = hn::Div(kMinimum ? hn::Sub(x, c1) : x, c0);
    return hn::Min(hn::Max(p, hn::Neg(bound)), bound);
  }
  /// Code, as a float, of a rounded position.
  HWY_INLINE V clamped(V whole, V c1) const {
    const D d;
    return hn::Min(hn::Max(kMinimum ? whole : hn::Add(whole, c1), hn::Zero(d)), hn::Set(d, levels));
  }
  HWY_INLINE V whole(V x, V c0, V c1) const {
    return clamped(grid.round(position(x, c0, c1), hn::Set(D(), grid.kUnit)), c1);
  }
  HWY_INLINE V random_whole(V x, V c0, V c1, VU word) const {
    const V p = position(x, c0, c1), multiple = drawn_value(hn::Abs(p), hn::Set(DI(), (127 + 23) << 23), word);
    return clamped(hn::CopySign(multiple, p), c1);
  }
  HWY_INLINE V decoded(V q, V c0, V c1) const {
    if constexpr (kMinimum) return hn::Add(hn::Mul(q, c0), c1);
    return hn::Mul(hn::Sub(q, c1), c0);
  }
  HWY_INLINE V value(V x, V c0, V c1, V) const { return decoded(whole(x, c0, c1), c0, c1); }
  HWY_INLINE VI code(V x, V c0, V c1, V) const { return hn::ConvertTo(DI(), whole(x, c0, c1)); }
  HWY_INLINE V random_value(V x, V c0, V c1, V, VU word) const {
    return decoded(random_whole(x, c0, c1, word), c0, c1);
  }
  HWY_INLINE VI random_code(V x, V c0, V c1, V, VU word) const {
    return hn::ConvertTo(DI(), random_whole(x, c0, c1, word));
  }
  HWY_INLINE VI scale_code(V c0, V, V) const { return round.code(c0); }
  HWY_INLINE VI zero_code(V, V c1, V) const { return kMinimum ? round_zero.code(c1) : hn::ConvertTo(DI(), c1); }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
