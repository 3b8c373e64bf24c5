// What all kernels do with vectors of floats and their bits, and the random draws between neighbouring multiples.
// Included once per target.
#if defined(LOWBIT_KERNELS_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_LANES_INL_H
#undef LOWBIT_KERNELS_LANES_INL_H
#else
#define LOWBIT_KERNELS_LANES_INL_H
#endif

#include <hwy/highway.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdint>

// AVX-512 has single instructions for some of what follows.
#undef LOWBIT_AVX512
#define LOWBIT_AVX512 (HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX3)

// For lambdas in loops, which compilers may call otherwise: three times the instructions.
#undef LOWBIT_INLINE_LAMBDA
#define LOWBIT_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using DU = hn::RebindToUnsigned<D>;
using V = hn::Vec<D>;
using VI = hn::Vec<DI>;
using VU = hn::Vec<DU>;

#ifdef HWY_EMU128
constexpr bool kEmulated = HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128;
#else
constexpr bool kEmulated = HWY_TARGET == HWY_SCALAR;
#endif

constexpr std::int32_t kExponentMask = 0x7f800000;
constexpr std::int32_t kMagnitudeMask = 0x7fffffff;
constexpr std::int32_t kSignMask = static_cast<std::int32_t>(0x80000000u);

HWY_INLINE VI bits_of(V v) {
  return hn::BitCast(DI(), v);
}
HWY_INLINE V float_of(VI v) {
  return hn::BitCast(D(), v);
}
HWY_INLINE VI magnitude_bits(V v) {
  return hn::And(bits_of(v), hn::Set(DI(), kMagnitudeMask));
}
/// Bits 0 upwards of each lane become bits `count` upwards; logical to the right.
HWY_INLINE VI shift_right(VI v, int count) {
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2
  // shifts by a vector are one instruction inside, those by a scalar two
  return hn::BitCast(DI(), hn::Shr(hn::BitCast(DU(), v), hn::Set(DU(), static_cast<std::uint32_t>(count))));
#else
  return hn::BitCast(DI(), hn::ShiftRightSame(hn::BitCast(DU(), v), count));
#endif
}
HWY_INLINE VI mask_bits(hn::Mask<DI> m) {
  return hn::VecFromMask(DI(), m);
}

/// v, which stays in a register from here on: compilers else load it again for each of its uses, and short loops wait
/// for loads.
HWY_INLINE V kept(V v) {
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2 && defined(__GNUC__)
  __asm__("" : "+v"(v.raw));
#endif
  return v;
}

/// Bits of a where those of the mask are set, else of b. (hn::IfVecThenElse looks at whole bytes on some targets.)
HWY_INLINE VI chosen(VI mask, VI a, VI b) {
#if LOWBIT_AVX512
  return VI{_mm512_ternarylogic_epi32(a.raw, mask.raw, b.raw, 0xE2)};
#else
  return hn::Or(hn::And(mask, a), hn::AndNot(mask, b));
#endif
}

/// The smaller magnitude of x and limit >= 0, with the sign of x.
HWY_INLINE V clamp_magnitude(V x, V limit) {
#if LOWBIT_AVX512
  return V{_mm512_range_ps(x.raw, limit.raw, 0b0010)};
#else
  return hn::Min(hn::Max(x, hn::Neg(limit)), limit);
#endif
}

/// The smaller magnitude, without a sign.
HWY_INLINE V smaller_magnitude(V x, V limit) {
#if LOWBIT_AVX512
  return V{_mm512_range_ps(x.raw, limit.raw, 0b1010)};
#else
  return hn::Min(hn::Abs(x), limit);
#endif
}

#if LOWBIT_AVX512

/// |x| + c, where c are the float bits of 2^23 spacings: the low bits hold |x| in multiples of the spacing, a power of
/// two, rounded away from zero iff word < fraction * 2^32, exactly as codec.cpp does it. For |x| below 2^22 spacings,
/// 2^-94 <= spacing.
HWY_INLINE VI drawn_sum(V magnitude, VI c, VU word) {
  constexpr int kDown = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
  const __m512 sum = _mm512_add_round_ps(magnitude.raw, float_of(c).raw, kDown);
  const V rest = hn::Sub(magnitude, hn::Sub(V{sum}, float_of(c)));
  // a float is above an integer iff it is above the largest float that is not above the integer; products are exact
  const V drawn{_mm512_cvt_roundepu32_ps(word.raw, kDown)};
  const V threshold = hn::Mul(drawn, float_of(hn::Sub(c, hn::Set(DI(), (23 + 32) << 23))));
  const __mmask16 up = _mm512_cmp_ps_mask(threshold.raw, rest.raw, _CMP_LT_OQ);
  const __m512i bits = _mm512_castps_si512(sum);
  return VI{_mm512_mask_add_epi32(bits, up, bits, _mm512_set1_epi32(1))};
}
HWY_INLINE VI drawn_multiple(V magnitude, VI c, VU word) {
  return hn::Sub(drawn_sum(magnitude, c, word), c);
}
HWY_INLINE V drawn_value(V magnitude, VI c, VU word) {
  return hn::Sub(float_of(drawn_sum(magnitude, c, word)), float_of(c));
}

#else

/// |x| in multiples of a spacing, a power of two (c: float bits of 2^23 spacings), rounded away from zero iff
/// word < fraction * 2^32, exactly as codec.cpp does it. For |x| below 2^22 spacings, 2^-70 < spacing: a subnormal x is
/// then so small beside it that its bits do not matter.
HWY_INLINE VI drawn_multiple(V x, VI c, VU word) {
  const DI di;
  const DU du;
  const VI magnitude = bits_of(x), field = hn::ShiftRight<23>(magnitude);
  const VI mantissa = hn::And(magnitude, hn::Set(di, 0x7fffff));
  const VU significand = hn::BitCast(du, hn::Or(mantissa, hn::Set(di, 1 << 23)));
  const VI drop = hn::Sub(hn::ShiftRight<23>(c), field);  // bits below the last place, at least 1
  VU kept = hn::Shr(significand, hn::BitCast(du, drop));
  // what is dropped, as a fraction of 2^32
  VU threshold = hn::Shl(significand, hn::BitCast(du, hn::Sub(hn::Set(di, 32), drop)));
  const auto far = hn::Gt(drop, hn::Set(di, 32));
  if (HWY_UNLIKELY(!hn::AllFalse(di, far))) {
    // far below the last place the fraction is rounded up to the next word; zero stays
    const VI down = hn::Min(hn::Sub(drop, hn::Set(di, 32)), hn::Set(di, 31));
    const VU one = hn::Set(du, 1);
    const VU above = hn::Add(hn::Shr(hn::Sub(significand, one), hn::BitCast(du, hn::Max(down, hn::Zero(di)))), one);
    const auto is_zero = hn::RebindMask(du, hn::Eq(magnitude, hn::Zero(di)));
    const auto far_u = hn::RebindMask(du, far);
    threshold = hn::IfThenElse(far_u, hn::IfThenZeroElse(is_zero, above), threshold);
    kept = hn::IfThenZeroElse(far_u, kept);
  }
  return hn::BitCast(di, hn::Sub(kept, hn::VecFromMask(du, hn::Lt(word, threshold))));
}
HWY_INLINE V drawn_value(V magnitude, VI c, VU word) {
  const V spacing = float_of(hn::Sub(c, hn::Set(DI(), 23 << 23)));
  return hn::Mul(hn::ConvertTo(D(), drawn_multiple(magnitude, c, word)), spacing);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
