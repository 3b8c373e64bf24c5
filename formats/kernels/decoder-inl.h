// Codes of at most 8 bits to values, on vectors. Codes come left-aligned: those of b bits in the upper b bits of a
// lane, anything below. Included once per target.
#if defined(LOWBIT_KERNELS_DECODER_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_DECODER_INL_H
#undef LOWBIT_KERNELS_DECODER_INL_H
#else
#define LOWBIT_KERNELS_DECODER_INL_H
#endif

#include <algorithm>
#include <type_traits>

#include "formats/kernels/grid-inl.h"
#include "formats/kernels/plan.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

HWY_INLINE V canonical(V v) {
  return hn::IfThenElse(hn::IsNaN(v), float_of(hn::Set(DI(), 0x7fc00000)), v);
}

/// A floating element: any() takes all codes, number() those that are finite numbers.
struct FloatDecoder {
  int unused, drop, to_fields;
  std::int32_t max_code, infinity_code, nan_code, field_mask, rebias;
  float factor;      ///< from the exponents of float to those of the element
  float min_normal;  ///< of the element
  explicit FloatDecoder(const ElementParams& p)
      : unused(32 - p.bits),
        drop(23 - p.mantissa_bits),
        to_fields(unused - drop),
        max_code(p.max_code),
        infinity_code(p.infinity_code),
        nan_code(p.negative_zero ? -1 : 1 << (p.bits - 1)),
        field_mask(((1 << (p.bits - 1)) - 1) << drop),
        rebias(std::bit_cast<std::int32_t>(p.decode_factor) - (127 << 23)),
        factor(p.decode_factor),
        min_normal(std::bit_cast<float>(p.min_normal_bits)) {}

  /// Whether all codes are numbers, which holds wherever this is not known to be false.
  bool numbers_only() const { return nan_code < 0 && max_code == (field_mask >> drop); }

  HWY_INLINE V any(VI left) const {
    const D d;
    const DI di;
    const VI code = shift_right(left, unused);
    const VI sign = hn::And(left, hn::Set(di, kSignMask));
    const VI magnitude = hn::And(code, hn::Set(di, field_mask >> drop));
    const V value = hn::Mul(float_of(hn::ShiftLeftSame(magnitude, drop)), hn::Set(d, factor));
    const V beyond = float_of(hn::IfThenElse(hn::Eq(magnitude, hn::Set(di, infinity_code)), hn::Set(di, 0x7f800000),
                                             hn::Set(di, 0x7fc00000)));
    const auto special = hn::Or(hn::Gt(magnitude, hn::Set(di, max_code)), hn::Eq(code, hn::Set(di, nan_code)));
    return hn::Or(hn::IfThenElse(hn::RebindMask(d, special), beyond, value), float_of(sign));
  }

  /// Without subnormal floats on the way, which processors may take a hundred cycles for: the fields of a subnormal
  /// code read as those of a normal one are 2^-bias (1 + m) where min_normal * m is meant.
  HWY_INLINE V number(VI left) const {
    const D d;
    const DI di;
    const VI fields = hn::And(shift_right(left, to_fields), hn::Set(di, field_mask));
    const V normal = float_of(hn::Add(fields, hn::Set(di, rebias)));
    const V subnormal = hn::Sub(hn::Add(normal, normal), hn::Set(d, min_normal));
    const auto is_subnormal = hn::RebindMask(d, hn::Lt(fields, hn::Set(di, 1 << 23)));
    return hn::Or(hn::IfThenElse(is_subnormal, subnormal, normal), hn::And(float_of(left), hn::Set(d, -0.0f)));
  }
};

struct IntegerDecoder {
  int unused;
  explicit IntegerDecoder(const ElementParams& p) : unused(32 - p.bits) {}
  bool numbers_only() const { return true; }
  HWY_INLINE V any(VI left) const { return hn::ConvertTo(D(), hn::ShiftRightSame(left, unused)); }
  HWY_INLINE V number(VI left) const { return any(left); }
};

struct UnsignedDecoder {
  int unused;
  explicit UnsignedDecoder(const ElementParams& p) : unused(32 - p.bits) {}
  bool numbers_only() const { return true; }
  HWY_INLINE V any(VI left) const { return hn::ConvertTo(D(), shift_right(left, unused)); }
  HWY_INLINE V number(VI left) const { return any(left); }
};

/// At most 16 values, by code; others are NaN.
struct TableDecoder {
  float table[16];
  int unused;
  explicit TableDecoder(const ElementParams& p) : unused(32 - p.bits) { std::copy_n(p.by_code, 16, table); }
  bool numbers_only() const {
    return std::all_of(table, table + (std::size_t{1} << (32 - unused)), [](float v) { return v == v; });
  }
  HWY_INLINE V any(VI left) const { return lookup16(table, shift_right(left, unused)); }
  HWY_INLINE V number(VI left) const { return any(left); }
};

/// Values of a group, from its scale and its zero point or minimum. kNumbers: the codes, the scale and the offset are
/// finite numbers, so that nothing can become a NaN.
template <Scaler kScaler, bool kNumbers, class Decoder>
HWY_INLINE V decoded(const Decoder decoder, VI left, V scale, V offset, float second) {
  const auto safe = [](V v) HWY_ATTR { return kNumbers ? v : canonical(v); };
  const V v = kNumbers ? decoder.number(left) : decoder.any(left);
  // a minimum: two roundings; elsewhere the product of element and scale is exact before the second level rounds
  if constexpr (kScaler == Scaler::minimum) return safe(hn::Add(hn::Mul(v, scale), offset));
  if constexpr (kScaler == Scaler::asymmetric) return safe(hn::Add(hn::Mul(hn::Sub(v, offset), scale), hn::Zero(D())));
  const V block = hn::Mul(v, scale);
  const V product = kScaler == Scaler::two_level ? hn::Mul(block, hn::Set(D(), second)) : block;
  // integers have no -0, whatever the scale's sign and wherever the product underflows
  constexpr bool kNoMinusZero = std::is_same_v<Decoder, IntegerDecoder> || kScaler == Scaler::ternary;
  return safe(kNoMinusZero ? hn::Add(product, hn::Zero(D())) : product);
}

/// Whether none of n numbers is NaN or infinite. Reads whole vectors.
HWY_INLINE bool are_finite(const float* HWY_RESTRICT v, std::size_t n) {
  const DI di;
  VI largest = hn::Zero(di);
  for (std::size_t i = 0; i < n; i += hn::Lanes(di)) {
    const auto inside = hn::FirstN(di, n - i);
    largest = hn::Max(largest, hn::IfThenElseZero(inside, magnitude_bits(hn::LoadU(D(), v + i))));
  }
  return hn::AllTrue(di, hn::Lt(largest, hn::Set(di, kExponentMask)));
}

/// Calls use.operator()<kScaler, Decoder>() for the scaler and the element of the plan.
template <Scaler kScaler, class Use>
HWY_INLINE void with_decoder(const BlockPlan& plan, const Use& use) {
  switch (plan.element.grid) {
    case Grid::floating:
      if (plan.element.bits <= 4) return use.template operator()<kScaler, TableDecoder>();
      return use.template operator()<kScaler, FloatDecoder>();
    case Grid::integer:
      return use.template operator()<kScaler, IntegerDecoder>();
    default:
      return use.template operator()<kScaler, TableDecoder>();
  }
}
template <class Use>
HWY_INLINE void with_decoding(const BlockPlan& plan, const Use& use) {
  switch (plan.scaler) {
    case Scaler::asymmetric:
      return use.template operator()<Scaler::asymmetric, UnsignedDecoder>();
    case Scaler::minimum:
      return use.template operator()<Scaler::minimum, UnsignedDecoder>();
    case Scaler::two_level:
      return with_decoder<Scaler::two_level>(plan, use);
    case Scaler::ternary:
      return use.template operator()<Scaler::ternary, TableDecoder>();
    default:
      return with_decoder<Scaler::quotient>(plan, use);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
