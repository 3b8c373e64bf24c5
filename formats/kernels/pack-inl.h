// Codes of one byte into bits, low bits first, and back. Included once per target.
#if defined(LOWBIT_KERNELS_PACK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_PACK_INL_H
#undef LOWBIT_KERNELS_PACK_INL_H
#else
#define LOWBIT_KERNELS_PACK_INL_H
#endif

#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "formats/kernels/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

#undef LOWBIT_BIT_DEPOSIT
#define LOWBIT_BIT_DEPOSIT (HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX2)

/// Eight codes of `bits` bits, one a byte, as 8 * bits bits: one instruction of BMI2, or neighbours joined into fields
/// of 2, 4 and 8 codes.
HWY_INLINE std::uint64_t pack_eight(std::uint64_t v, int bits) {
#if LOWBIT_BIT_DEPOSIT
  return _pext_u64(v, ((std::uint64_t{1} << bits) - 1) * 0x0101010101010101u);
#else
  const std::uint64_t one = (std::uint64_t{1} << bits) - 1, two = (std::uint64_t{1} << 2 * bits) - 1;
  const std::uint64_t four = (std::uint64_t{1} << 4 * bits) - 1;
  v = (v & one * 0x0001000100010001u) | (v & (one << 8) * 0x0001000100010001u) >> (8 - bits);
  v = (v & two * 0x0000000100000001u) | (v & (two << 16) * 0x0000000100000001u) >> (16 - 2 * bits);
  return (v & four) | (v & four << 32) >> (32 - 4 * bits);
#endif
}

HWY_INLINE std::uint64_t unpack_eight(std::uint64_t v, int bits) {
#if LOWBIT_BIT_DEPOSIT
  return _pdep_u64(v, ((std::uint64_t{1} << bits) - 1) * 0x0101010101010101u);
#else
  const std::uint64_t four = (std::uint64_t{1} << 4 * bits) - 1, two = (std::uint64_t{1} << 2 * bits) - 1;
  v = (v & four) | (v & four << 4 * bits) << (32 - 4 * bits);
  v = (v & two * 0x0000000100000001u) | (v & (two << 2 * bits) * 0x0000000100000001u) << (16 - 2 * bits);
  const std::uint64_t one = (std::uint64_t{1} << bits) - 1;
  return (v & one * 0x0001000100010001u) | (v & (one << bits) * 0x0001000100010001u) << (8 - bits);
#endif
}

/// n codes, fewer than eight at the end; bits of the last byte that belong to no code are 0.
template <int kBits>
HWY_INLINE void pack_words(const std::uint8_t* codes, std::size_t n, std::uint8_t* to) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8, to += kBits) {
    std::uint64_t v;
    std::memcpy(&v, codes + i, 8);
    v = pack_eight(v, kBits);
    if ((n - i) * kBits >= 64)
      std::memcpy(to, &v, 8);  // what is too much is overwritten by the next eight
    else
      std::memcpy(to, &v, kBits);
  }
  if (i == n) return;
  std::uint64_t v = 0;
  std::memcpy(&v, codes + i, n - i);
  v = pack_eight(v, kBits);
  std::memcpy(to, &v, ((n - i) * kBits + 7) / 8);
}

template <int kBits>
HWY_INLINE void unpack_words(const std::uint8_t* from, std::size_t n, std::uint8_t* codes) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8, from += kBits) {
    std::uint64_t v = 0;
    if ((n - i) * kBits >= 64)
      std::memcpy(&v, from, 8);  // what is too much is ignored
    else
      std::memcpy(&v, from, kBits);
    v = unpack_eight(v, kBits);
    std::memcpy(codes + i, &v, 8);
  }
  if (i == n) return;
  std::uint64_t v = 0;
  std::memcpy(&v, from, ((n - i) * kBits + 7) / 8);
  v = unpack_eight(v, kBits);
  std::memcpy(codes + i, &v, n - i);
}

#if HWY_TARGET != HWY_SCALAR

using D8 = hn::ScalableTag<std::uint8_t>;
using D16 = hn::RepartitionToWide<D8>;

/// Even codes in low nibbles. Whole vectors; returns the codes done.
HWY_INLINE std::size_t pack_nibbles(const std::uint8_t* codes, std::size_t n, std::uint8_t* to) {
  const D8 d8;
  const D16 d16;
  const hn::RebindToSigned<D16> i16;
  const hn::Rebind<std::uint8_t, D16> half;
  const std::size_t lanes = hn::Lanes(d8);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::BitCast(d16, hn::LoadU(d8, codes + i));
    const auto low = hn::And(v, hn::Set(d16, 0x000f)), high = hn::And(hn::ShiftRight<4>(v), hn::Set(d16, 0x00f0));
    hn::StoreU(hn::DemoteTo(half, hn::BitCast(i16, hn::Or(low, high))), half, to + i / 2);
  }
  return i;
}

HWY_INLINE std::size_t unpack_nibbles(const std::uint8_t* from, std::size_t n, std::uint8_t* codes) {
  const D8 d8;
  const D16 d16;
  const hn::Rebind<std::uint8_t, D16> half;
  const std::size_t lanes = hn::Lanes(d8);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::PromoteTo(d16, hn::LoadU(half, from + i / 2));
    const auto both = hn::Or(hn::And(v, hn::Set(d16, 0x000f)), hn::And(hn::ShiftLeft<4>(v), hn::Set(d16, 0x0f00)));
    hn::StoreU(hn::BitCast(d8, both), d8, codes + i);
  }
  return i;
}

/// Six bits a code. Whole vectors of codes while a whole vector may be stored; returns the codes done.
HWY_INLINE std::size_t pack_sixes(const std::uint8_t* codes, std::size_t n, std::uint8_t* to) {
#if !HWY_HAVE_SCALABLE && HWY_MAX_BYTES >= 16
  const D8 d8;
  const D16 d16;
  const hn::RepartitionToWide<D16> d32;
  const std::size_t lanes = hn::Lanes(d8);
  HWY_ALIGN static constexpr std::uint8_t kThirds[16] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15};
  HWY_ALIGN static constexpr std::uint32_t kTogether[16] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15};
  HWY_ALIGN std::uint32_t order[HWY_MAX_BYTES / 4];
  for (std::size_t k = 0; k < hn::Lanes(d32); ++k)
    order[k] = std::min(kTogether[k], static_cast<std::uint32_t>(hn::Lanes(d32) - 1));
  const auto thirds = hn::LoadDup128(d8, kThirds);
  const auto together = hn::SetTableIndices(d32, reinterpret_cast<const std::int32_t*>(order));
  std::size_t i = 0;
  // a store reaches a third beyond its own codes, into what the next one writes
  for (; i + lanes + (lanes + 2) / 3 <= n; i += lanes) {
    const auto one = hn::BitCast(d16, hn::LoadU(d8, codes + i));
    const auto two = hn::BitCast(
        d32, hn::Or(hn::And(one, hn::Set(d16, 0x003f)), hn::And(hn::ShiftRight<2>(one), hn::Set(d16, 0x0fc0))));
    const auto four =
        hn::Or(hn::And(two, hn::Set(d32, 0x000fff)), hn::And(hn::ShiftRight<4>(two), hn::Set(d32, 0xfff000)));
    const auto bytes = hn::BitCast(d32, hn::TableLookupBytes(hn::BitCast(d8, four), thirds));
    hn::StoreU(hn::BitCast(d8, hn::TableLookupLanes(bytes, together)), d8, to + i / 4 * 3);
  }
  return i;
#else
  (void)codes, (void)n, (void)to;
  return 0;
#endif
}

#else
HWY_INLINE std::size_t pack_sixes(const std::uint8_t*, std::size_t, std::uint8_t*) {
  return 0;
}
HWY_INLINE std::size_t pack_nibbles(const std::uint8_t*, std::size_t, std::uint8_t*) {
  return 0;
}
HWY_INLINE std::size_t unpack_nibbles(const std::uint8_t*, std::size_t, std::uint8_t*) {
  return 0;
}
#endif

/// n codes of 1 to 8 bits, upper bits ignored.
HWY_INLINE void pack_bits(int bits, const std::uint8_t* codes, std::size_t n, std::uint8_t* to) {
  switch (bits) {
    case 1:
      return pack_words<1>(codes, n, to);
    case 2:
      return pack_words<2>(codes, n, to);
    case 3:
      return pack_words<3>(codes, n, to);
    case 4: {
      const std::size_t done = pack_nibbles(codes, n, to);
      return pack_words<4>(codes + done, n - done, to + done / 2);
    }
    case 5:
      return pack_words<5>(codes, n, to);
    case 6: {
      const std::size_t done = pack_sixes(codes, n, to);
      return pack_words<6>(codes + done, n - done, to + done / 4 * 3);
    }
    case 7:
      return pack_words<7>(codes, n, to);
    default:
      std::memcpy(to, codes, n);
  }
}

/// Zero-extended.
HWY_INLINE void unpack_bits(int bits, const std::uint8_t* from, std::size_t n, std::uint8_t* codes) {
  switch (bits) {
    case 1:
      return unpack_words<1>(from, n, codes);
    case 2:
      return unpack_words<2>(from, n, codes);
    case 3:
      return unpack_words<3>(from, n, codes);
    case 4: {
      const std::size_t done = unpack_nibbles(from, n, codes);
      return unpack_words<4>(from + done / 2, n - done, codes + done);
    }
    case 5:
      return unpack_words<5>(from, n, codes);
    case 6:
      return unpack_words<6>(from, n, codes);
    case 7:
      return unpack_words<7>(from, n, codes);
    default:
      std::memcpy(codes, from, n);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
