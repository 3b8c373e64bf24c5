// Words of stochastic rounding: Philox4x32-10 on vectors of counters (random.hpp has the scalar routine and the
// source).
#if defined(LOWBIT_KERNELS_RANDOM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_RANDOM_INL_H
#undef LOWBIT_KERNELS_RANDOM_INL_H
#else
#define LOWBIT_KERNELS_RANDOM_INL_H
#endif

#include "formats/kernels/grid-inl.h"
#include "formats/random.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Words of up to kValues consecutive values.
struct Words {
  static constexpr std::size_t kValues = 512 * HWY_MAX_BYTES / 4 + 2048;
  /// Two batches of the widest target more than are asked for, and the words before the first in its block of four.
  HWY_ALIGN std::uint32_t room[kValues + 2 * HWY_MAX_BYTES + 4];
  const std::uint32_t* first;  ///< word of the first value
};

#if HWY_TARGET == HWY_SCALAR

HWY_INLINE void fill_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, std::size_t n, Words& w) {
  for (std::size_t i = 0; i < n; ++i) w.room[i] = random_word(seed, stream, index + i);
  w.first = w.room;
}

#else

using D64 = hn::ScalableTag<std::uint64_t>;
using V64 = hn::Vec<D64>;

HWY_INLINE V64 product(V64 a, std::uint32_t b) {
  const hn::RepartitionToNarrow<D64> d32;
  return hn::MulEven(hn::BitCast(d32, a), hn::Set(d32, b));
}

HWY_INLINE void philox_round(V64& c0, V64& c1, V64& c2, V64& c3, const std::uint64_t* HWY_RESTRICT keys) {
  const D64 d64;
  const V64 a = product(c0, 0xD2511F53u), b = product(c2, 0xCD9E8D57u);
  c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(b), c1), hn::Set(d64, keys[0]));
  c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(a), c3), hn::Set(d64, keys[1]));
  c1 = b;
  c3 = a;
}

/// Four words of each counter, at `to`. Low halves of 64-bit lanes hold the 32-bit numbers; what is above never
/// matters.
HWY_INLINE void philox_words(V64 counter, std::uint64_t stream, const std::uint64_t* HWY_RESTRICT keys,
                             std::uint32_t* HWY_RESTRICT to) {
  const D64 d64;
  const hn::RepartitionToNarrow<D64> d32;
  const V64 low = hn::Set(d64, 0xffffffffu);
  V64 c0 = counter, c1 = hn::ShiftRight<32>(counter), c2 = hn::Set(d64, stream), c3 = hn::Set(d64, stream >> 32);
  // written out: the loop over rounds would not be unrolled
  philox_round(c0, c1, c2, c3, keys);
  philox_round(c0, c1, c2, c3, keys + 2);
  philox_round(c0, c1, c2, c3, keys + 4);
  philox_round(c0, c1, c2, c3, keys + 6);
  philox_round(c0, c1, c2, c3, keys + 8);
  philox_round(c0, c1, c2, c3, keys + 10);
  philox_round(c0, c1, c2, c3, keys + 12);
  philox_round(c0, c1, c2, c3, keys + 14);
  philox_round(c0, c1, c2, c3, keys + 16);
  philox_round(c0, c1, c2, c3, keys + 18);
  const V64 w01 = hn::Or(hn::And(c0, low), hn::ShiftLeft<32>(c1));
  const V64 w23 = hn::Or(hn::And(c2, low), hn::ShiftLeft<32>(c3));
  hn::StoreU(hn::BitCast(d32, hn::InterleaveLower(d64, w01, w23)), d32, to);
  hn::StoreU(hn::BitCast(d32, hn::InterleaveUpper(d64, w01, w23)), d32, to + 2 * hn::Lanes(d64));
}

HWY_INLINE void fill_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, std::size_t n, Words& w) {
  const D64 d64;
  const std::size_t lanes = hn::Lanes(d64);
  HWY_ALIGN std::uint64_t keys[20];
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int r = 0; r < 10; ++r, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) keys[2 * r] = k0, keys[2 * r + 1] = k1;
  // lanes 0, 2, 4, ... take the first half of the counters and 1, 3, 5, ... the second, for the interleaved stores
  HWY_ALIGN std::uint64_t order[HWY_MAX_BYTES / 8];
  for (std::size_t i = 0; i < lanes; ++i) order[i] = i % 2 == 0 ? i / 2 : lanes / 2 + i / 2;
  V64 counter = hn::Add(hn::Load(d64, order), hn::Set(d64, index / 4));
  const V64 next = hn::Set(d64, lanes);
  // two batches at a time: one alone waits for its multiplications
  for (std::size_t i = 0, wanted = n + index % 4; i < wanted; i += 8 * lanes) {
    const V64 second = hn::Add(counter, next);
    philox_words(counter, stream, keys, w.room + i);
    philox_words(second, stream, keys, w.room + i + 4 * lanes);
    counter = hn::Add(second, next);
  }
  w.first = w.room + index % 4;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
