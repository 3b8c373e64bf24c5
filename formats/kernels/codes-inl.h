// Codes of the scales and zero points of a strip. Included once per target.
#if defined(LOWBIT_KERNELS_CODES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_CODES_INL_H
#undef LOWBIT_KERNELS_CODES_INL_H
#else
#define LOWBIT_KERNELS_CODES_INL_H
#endif

#include "formats/code_store.hpp"
#include "formats/kernels/encode.hpp"
#include "formats/kernels/strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Scale and zero codes of a strip.
struct StripCodes {
  HWY_ALIGN std::uint32_t scale[Strip::kRoom];
  HWY_ALIGN std::uint32_t zero[Strip::kRoom];
};

/// Of the groups that are not kUnusual.
template <class Quantizer>
HWY_INLINE void scale_codes(const Quantizer q, const Strip& s, std::size_t blocks, StripCodes& codes) {
  const D d;
  const DI di;
  const DU du;
  for (std::size_t b = 0; b < blocks; b += hn::Lanes(d)) {
    const V c0 = hn::LoadU(d, s.constants + b), c1 = hn::LoadU(d, s.constants + Strip::kRoom + b);
    const V c2 = hn::LoadU(d, s.constants + 2 * Strip::kRoom + b);
    const auto zero = hn::Eq(hn::LoadU(di, s.flags + b), hn::Set(di, kZero));
    hn::StoreU(hn::BitCast(du, hn::IfThenZeroElse(zero, q.scale_code(c0, c1, c2))), du, codes.scale + b);
    hn::StoreU(hn::BitCast(du, hn::IfThenZeroElse(zero, q.zero_code(c0, c1, c2))), du, codes.zero + b);
  }
}

HWY_INLINE void put_codes(const std::uint32_t* codes, std::size_t n, int bytes, std::uint8_t* to) {
  const DI di;
  const std::size_t lanes = hn::Lanes(di);
  std::size_t i = 0;
  for (; bytes == 1 && i + lanes <= n; i += lanes) store_bytes(hn::BitCast(di, hn::LoadU(DU(), codes + i)), to + i);
  for (; i < n; ++i) put_code(to + i * static_cast<std::size_t>(bytes), bytes, codes[i]);
}

HWY_INLINE void put_parts(const StripCodes& c, std::size_t blocks, const SplitParts& out) {
  put_codes(c.scale, blocks, out.scale_bytes, out.scales);
  if (out.zeros != nullptr) put_codes(c.zero, blocks, out.zero_bytes, out.zeros);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
