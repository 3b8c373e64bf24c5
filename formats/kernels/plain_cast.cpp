#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/plain_cast.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "formats/kernels/plain_cast.hpp"
#include "formats/kernels/sink-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Elements with the exponents of float: the low bits of the float are rounded away as an integer.
template <Rounding kRounding>
struct WideCast {
  int drop, code_shift;
  float over, nan;
  std::uint32_t nan_code;
  explicit WideCast(const CastPlan& p)
      : drop(23 - p.element.mantissa_bits), code_shift(drop), over(p.over), nan(p.nan), nan_code(p.nan_code) {}

  HWY_INLINE VI nearest(VI magnitude, bool away) const {
    const DI di;
    const VI half = hn::Set(di, 1 << (drop - 1));
    if (away) return hn::Add(magnitude, half);
    const VI last = hn::And(shift_right(magnitude, drop), hn::Set(di, 1));
    return hn::Add(hn::Add(magnitude, hn::Sub(half, hn::Set(di, 1))), last);
  }
  HWY_INLINE V value(V x, VU word) const {
    const D d;
    const DI di;
    const DU du;
    x = kept(x);
    const VI a = magnitude_bits(x), mask = hn::Set(di, -(1 << drop)), infinity = hn::Set(di, kExponentMask);
    VI r = hn::And(nearest(a, kRounding == Rounding::rna), mask);
    if constexpr (kRounding == Rounding::sr) {
      const VU fraction = hn::ShiftLeftSame(hn::BitCast(du, a), 32 - drop);
      const VI up = hn::IfThenElseZero(hn::RebindMask(di, hn::Lt(word, fraction)), hn::Set(di, 1 << drop));
      const VI truncated = hn::And(a, mask);
      // nothing is drawn from the largest value on
      const auto drawn = hn::Lt(truncated, hn::Sub(infinity, hn::Set(di, 1 << drop)));
      r = hn::IfThenElse(drawn, hn::Add(truncated, up), r);
    }
    (void)word;
    const V finite = hn::IfThenElse(hn::RebindMask(d, hn::Gt(infinity, r)), float_of(r), hn::Set(d, over));
    return hn::IfThenElse(hn::IsNaN(x), hn::Set(d, nan), hn::CopySign(finite, x));
  }
  HWY_INLINE VI code(V r) const {
    const VI bits = shift_right(bits_of(r), code_shift);
    return hn::IfThenElse(hn::RebindMask(DI(), hn::IsNaN(r)), hn::Set(DI(), static_cast<std::int32_t>(nan_code)), bits);
  }
};

/// Elements with fewer exponents: the grid of the block formats, and what lies beyond it.
template <Rounding kRounding>
struct NarrowCast {
  FloatGrid<kRounding == Rounding::rna> grid;
  std::int32_t min_normal, infinity_code;
  float max, bound, over, nan;
  std::uint32_t nan_code;
  explicit NarrowCast(const CastPlan& p)
      : grid(p.element),
        min_normal(p.element.min_normal_bits),
        infinity_code(p.element.infinity_code),
        max(p.element.max),
        bound(p.bound),
        over(p.over),
        nan(p.nan),
        nan_code(p.nan_code) {}

  HWY_INLINE V value(V x, VU word) const {
    const D d;
    const DI di;
    const VI low = hn::Set(di, min_normal);
    const V largest = hn::Set(d, max), clamped = hn::CopySign(hn::Min(hn::Abs(x), hn::Set(d, bound)), x);
    V r = hn::Abs(grid.template value<false>(clamped, low, largest));
    if constexpr (kRounding == Rounding::sr) {
      const V drawn = hn::Abs(grid.random_value(clamped, low, hn::Set(d, bound), word));
      // nothing is drawn from the largest value on
      r = hn::IfThenElse(hn::Lt(hn::Abs(clamped), largest), drawn, r);
    }
    (void)word;
    r = hn::IfThenElse(hn::Gt(r, largest), hn::Set(d, over), r);
    const VI kept = hn::Or(mask_bits(hn::Gt(bits_of(r), hn::Zero(di))), hn::Set(di, grid.negative_zero));
    const V with_sign = hn::Or(r, float_of(hn::And(hn::And(bits_of(x), kept), hn::Set(di, kSignMask))));
    const V no_number = float_of(hn::Set(di, 0x7fc00000));
    return hn::IfThenElse(hn::IsNaN(x), hn::Set(d, nan), hn::IfThenElse(hn::IsNaN(with_sign), no_number, with_sign));
  }
  HWY_INLINE VI code(V r) const {
    const DI di;
    const VI low = hn::Set(di, min_normal);
    const V number = hn::IfThenZeroElse(hn::IsNaN(r), r);
    const VI finite = grid.template code<false>(number, low, number, grid.code_offset(low));
    const VI sign = shift_right(hn::And(bits_of(r), hn::Set(di, kSignMask)), grid.sign_shift);
    const auto infinite = hn::Eq(magnitude_bits(r), hn::Set(di, kExponentMask));
    const VI code = hn::IfThenElse(infinite, hn::Or(sign, hn::Set(di, infinity_code)), finite);
    return hn::IfThenElse(hn::RebindMask(di, hn::IsNaN(r)), hn::Set(di, static_cast<std::int32_t>(nan_code)), code);
  }
};

template <Rounding kRounding>
struct IntegerCast {
  IntegerGrid<kRounding == Rounding::rna> grid;
  explicit IntegerCast(const CastPlan& p) : grid(p.element) {}
  HWY_INLINE V value(V x, VU word) const {
    const D d;
    const V low = hn::Set(d, static_cast<float>(grid.q_min)), high = hn::Set(d, static_cast<float>(grid.q_max));
    const V v = hn::IfThenZeroElse(hn::IsNaN(x), x), unit = hn::Set(d, grid.kUnit);
    if constexpr (kRounding == Rounding::sr) return grid.random_value(v, unit, low, high, word);
    (void)word;
    return grid.round(hn::Min(hn::Max(v, low), high), unit);
  }
  HWY_INLINE VI code(V r) const { return hn::ConvertTo(DI(), r); }
};

HWY_INLINE void store_code(VI code, int bytes, std::uint8_t* to) {
  if (bytes == 1) return store_bytes(code, to);
  if (bytes == 4) return hn::StoreU(code, DI(), reinterpret_cast<std::int32_t*>(to));
  const hn::Rebind<std::uint16_t, DU> d16;
  hn::StoreU(hn::TruncateTo(d16, hn::BitCast(DU(), code)), d16, reinterpret_cast<std::uint16_t*>(to));
}

/// use(i, rounded): vectors of rounded values of x, the last one padded.
template <Rounding kRounding, class Cast, class Use>
HWY_INLINE void cast_part(const Cast cast, const CastPlan& plan, const float* x, std::size_t n, std::uint64_t index,
                          const Use& use) {
  const D d;
  const DU du;
  const std::size_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  Words words;
  if constexpr (kRounding == Rounding::sr)
    WordSource(plan.seed, plan.stream_number).fill(index, n + lanes, words, x + n);
  const auto word = [&](std::size_t i) HWY_ATTR {
    if constexpr (kRounding == Rounding::sr) return hn::LoadU(du, words.first + i);
    return hn::Zero(du);
  };
  for (std::size_t i = 0; i < whole; i += lanes) {
    hwy::Prefetch(x + i + 1024);
    use(i, cast.value(hn::LoadU(d, x + i), word(i)));
  }
  if (whole == n) return;
  HWY_ALIGN float last[HWY_MAX_BYTES / 4] = {};
  std::copy_n(x + whole, n - whole, last);
  use(whole, cast.value(hn::Load(d, last), word(whole)));
}

constexpr std::size_t kPart = 2048;

template <Rounding kRounding, class Cast>
void cast_all(const CastPlan& plan, const float* x, float* y, std::uint8_t* codes, std::size_t n, std::uint64_t index,
              bool stream) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), width = static_cast<std::size_t>(plan.code_bytes);
  const Cast cast(plan);
  for (std::size_t at = 0; at < n; at += kPart) {
    const std::size_t m = std::min(kPart, n - at);
    const auto is_whole = [&](std::size_t i) { return i + lanes <= m; };
    if (codes == nullptr) {
      cast_part<kRounding>(cast, plan, x + at, m, index + at, [&](std::size_t i, V r) HWY_ATTR {
        HWY_ALIGN float last[HWY_MAX_BYTES / 4];
        if (!is_whole(i)) {
          hn::Store(r, d, last);
          std::copy_n(last, m - i, y + at + i);
        } else if (stream) {
          hn::Stream(r, d, y + at + i);
        } else {
          hn::StoreU(r, d, y + at + i);
        }
      });
    } else {
      cast_part<kRounding>(cast, plan, x + at, m, index + at, [&](std::size_t i, V r) HWY_ATTR {
        HWY_ALIGN std::uint8_t last[HWY_MAX_BYTES];
        const VI code = cast.code(r);
        std::uint8_t* to = codes + (at + i) * width;
        store_code(code, plan.code_bytes, is_whole(i) ? to : last);
        if (!is_whole(i)) std::copy_n(last, (m - i) * width, to);
      });
    }
  }
}

template <Rounding kRounding>
void cast_rounded(const CastPlan& plan, const float* x, float* y, std::uint8_t* codes, std::size_t n,
                  std::uint64_t index, bool stream) {
  if (plan.element.grid == Grid::integer)
    return cast_all<kRounding, IntegerCast<kRounding>>(plan, x, y, codes, n, index, stream);
  if (plan.wide) return cast_all<kRounding, WideCast<kRounding>>(plan, x, y, codes, n, index, stream);
  cast_all<kRounding, NarrowCast<kRounding>>(plan, x, y, codes, n, index, stream);
}

void CastAny(const CastPlan& plan, const float* x, float* y, std::uint8_t* codes, std::size_t n, std::uint64_t index,
             bool stream) {
  if constexpr (!kEmulated) {
    if (plan.rounding == Rounding::sr) return cast_rounded<Rounding::sr>(plan, x, y, codes, n, index, stream);
    if (plan.rounding == Rounding::rna) return cast_rounded<Rounding::rna>(plan, x, y, codes, n, index, stream);
    cast_rounded<Rounding::rne>(plan, x, y, codes, n, index, stream);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <bit>
#include <cmath>

#include "formats/block_quantizer.hpp"
#include "formats/code_store.hpp"

namespace lowbit::kernels {

HWY_EXPORT(CastAny);

bool make_cast(const Format& format, std::uint64_t stream_number, CastPlan& plan) {
  const Element& element = coded_element(format);
  const Rounding rounding = format.conversion.rounding;
  const bool rounds = rounding == Rounding::rne || rounding == Rounding::rna || rounding == Rounding::sr;
  const bool grid = element.is_integer() || (element.is_float() && element.is_signed && element.bits < 32);
  if (format.is_block() || !format.like.empty() || format.flush || !rounds || !grid) return false;
  plan.element = element_params(element, rounding);
  plan.rounding = rounding;
  plan.wide = element.is_float() && element.exponent_bits == 8;
  plan.bound = plan.wide || element.is_integer() ? 0 : std::ldexp(1.0f, element.emax() + 2);
  const bool saturates = format.conversion.overflow == Overflow::sat || !element.has_nan();
  plan.over = saturates                ? plan.element.max
              : element.has_infinity() ? std::bit_cast<float>(0x7f800000u)
                                       : canonical_nan();
  plan.nan_code = element.nan_code();
  plan.nan = lowbit::decode(element, plan.nan_code);
  plan.code_bytes = bytes_per_code(element);
  plan.seed = format.seed;
  plan.stream_number = stream_number;
  return true;
}

void cast_values(const CastPlan& plan, const float* x, float* y, std::size_t n, std::uint64_t index, bool stream) {
  HWY_DYNAMIC_DISPATCH(CastAny)(plan, x, y, nullptr, n, index, stream);
}
void cast_codes(const CastPlan& plan, const float* x, std::uint8_t* codes, std::size_t n, std::uint64_t index) {
  HWY_DYNAMIC_DISPATCH(CastAny)(plan, x, nullptr, codes, n, index, false);
}

}  // namespace lowbit::kernels
#endif
