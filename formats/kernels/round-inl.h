// Rounding to an element on float vectors; included once per target by the kernels.
#if defined(LOWBIT_KERNELS_ROUND_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_ROUND_INL_H
#undef LOWBIT_KERNELS_ROUND_INL_H
#else
#define LOWBIT_KERNELS_ROUND_INL_H
#endif

#include <hwy/highway.h>

#include "formats/kernels/element_params.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using V = hn::Vec<D>;
using VI = hn::Vec<DI>;

/// Rounds finite |v| < 2^100 to a floating element, saturating; the sign of zero is kept.
/// Adding and subtracting C = 2^(e + 23 - M), e the exponent of v (at least that of the smallest normal), leaves v rounded
/// to a multiple of 2^(e - M), ties to even, which is the spacing of the element there; a carry into the next binade is
/// exact.
template <Rounding kRounding, bool kNegativeZero = true>
struct FloatRounder {
  VI exponent_mask, min_exponent, shift;
  V max;
  explicit FloatRounder(const ElementParams& p)
      : exponent_mask(hn::Set(DI(), 0x7f800000)),
        min_exponent(hn::Set(DI(), p.min_normal_bits)),
        shift(hn::Set(DI(), (23 - p.mantissa_bits) << 23)),
        max(hn::Set(D(), p.max)) {}

  HWY_INLINE V operator()(V v) const {
    const D d;
    const DI di;
    const V a = hn::Min(hn::Abs(v), max);
    const VI e = hn::Max(hn::And(hn::BitCast(di, a), exponent_mask), min_exponent);
    const V c = hn::BitCast(d, hn::Add(e, shift));
    V r = hn::Sub(hn::Add(a, c), c);
    if constexpr (kRounding == Rounding::rna) {
      // a tie that went down: the distance is exactly half the spacing; go up instead
      const V half = hn::Mul(c, hn::Set(d, 0x1p-24f));
      r = hn::IfThenElse(hn::Eq(hn::Sub(a, r), half), hn::Add(a, half), r);
    }
    r = hn::CopySignToAbs(r, v);
    // -0 + 0 = +0; everything else stays
    return kNegativeZero ? r : hn::Add(r, hn::Zero(d));
  }
};

/// Rounds |v| < 2^22 to an integer in [q_min, q_max]; zeros are +0.
template <Rounding kRounding>
struct IntegerRounder {
  V low, high;
  explicit IntegerRounder(const ElementParams& p)
      : low(hn::Set(D(), p.q_min)), high(hn::Set(D(), p.q_max)) {}

  HWY_INLINE V operator()(V v) const {
    const D d;
    const V magic = hn::Set(d, 0x1.8p23f);
    V r = hn::Sub(hn::Add(v, magic), magic);
    if constexpr (kRounding == Rounding::rna) {
      const V half = hn::CopySign(hn::Set(d, 0.5f), v);
      const V up = hn::Add(v, half);
      r = hn::IfThenElse(hn::Eq(hn::Sub(v, r), half), up, r);
    }
    return hn::Min(hn::Max(r, low), high);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
