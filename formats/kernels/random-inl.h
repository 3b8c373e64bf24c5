// Words of stochastic rounding: Philox4x32-10 on vectors of counters (random.hpp has the scalar routine and the
// source).
#if defined(LOWBIT_KERNELS_RANDOM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_RANDOM_INL_H
#undef LOWBIT_KERNELS_RANDOM_INL_H
#else
#define LOWBIT_KERNELS_RANDOM_INL_H
#endif

#include <hwy/cache_control.h>

#include "formats/kernels/grid-inl.h"
#include "formats/random.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Words of up to kValues consecutive values.
struct Words {
  static constexpr std::size_t kValues = 512 * HWY_MAX_BYTES / 4 + 2048;
  /// Four vectors of counters of the widest target more than are asked for, and the words before the first in its block
  /// of four.
  HWY_ALIGN std::uint32_t room[kValues + 2 * HWY_MAX_BYTES + 4];
  const std::uint32_t* first;  ///< word of the first value
};

#if HWY_TARGET == HWY_SCALAR

class WordSource {
 public:
  WordSource(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  void fill(std::uint64_t index, std::size_t n, Words& w, const float*) const {
    for (std::size_t i = 0; i < n; ++i) w.room[i] = random_word(seed_, stream_, index + i);
    w.first = w.room;
  }

 private:
  std::uint64_t seed_, stream_;
};

#else

using D64 = hn::ScalableTag<std::uint64_t>;
using V64 = hn::Vec<D64>;

HWY_INLINE V64 product(V64 a, std::uint32_t b) {
  const hn::RepartitionToNarrow<D64> d32;
  return hn::MulEven(hn::BitCast(d32, a), hn::Set(d32, b));
}

/// Counters at work. Low halves of 64-bit lanes hold the 32-bit numbers; what is above never matters.
struct Philox {
  V64 c0, c1, c2, c3;
  HWY_INLINE Philox(V64 counter, std::uint64_t stream)
      : c0(counter), c1(hn::ShiftRight<32>(counter)), c2(hn::Set(D64(), stream)), c3(hn::Set(D64(), stream >> 32)) {}

  HWY_INLINE void round(V64 key0, V64 key1) {
    const V64 a = product(c0, 0xD2511F53u), b = product(c2, 0xCD9E8D57u);
    c0 = hn::Xor3(hn::ShiftRight<32>(b), c1, key0);
    c2 = hn::Xor3(hn::ShiftRight<32>(a), c3, key1);
    c1 = b;
    c3 = a;
  }
  /// Four words of each counter.
  HWY_INLINE void store(std::uint32_t* HWY_RESTRICT to) const {
    const D64 d64;
    const hn::RepartitionToNarrow<D64> d32;
    const V64 low = hn::Set(d64, 0xffffffffu);
    const V64 w01 = hn::Or(hn::And(c0, low), hn::ShiftLeft<32>(c1));
    const V64 w23 = hn::Or(hn::And(c2, low), hn::ShiftLeft<32>(c3));
    hn::StoreU(hn::BitCast(d32, hn::InterleaveLower(d64, w01, w23)), d32, to);
    hn::StoreU(hn::BitCast(d32, hn::InterleaveUpper(d64, w01, w23)), d32, to + 2 * hn::Lanes(d64));
  }
};

/// All rounds of some counters, side by side.
template <class... Counters>
HWY_INLINE void philox_rounds(const std::uint64_t* HWY_RESTRICT keys, Counters&... counters) {
#pragma GCC unroll 10
  for (int r = 0; r < 20; r += 2) {
    const V64 key0 = hn::Set(D64(), keys[r]), key1 = hn::Set(D64(), keys[r + 1]);
    (counters.round(key0, key1), ...);
  }
}

/// Words of four vectors of counters. Each alone waits for its multiplications, and what a processor looks ahead holds
/// little more than one: as many side by side as there are registers for.
HWY_INLINE void philox_words(V64 counter, V64 next, std::uint64_t stream, const std::uint64_t* HWY_RESTRICT keys,
                             std::uint32_t* HWY_RESTRICT to) {
  const D64 d64;
  const std::size_t words = 4 * hn::Lanes(d64);
  const V64 second = hn::Add(counter, next), third = hn::Add(second, next);
  Philox a(counter, stream), b(second, stream), c(third, stream), e(hn::Add(third, next), stream);
  if constexpr (HWY_MAX_BYTES == 64) {
    philox_rounds(keys, a, b, c, e);
  } else {
    philox_rounds(keys, a, b);
    philox_rounds(keys, c, e);
  }
  a.store(to);
  b.store(to + words);
  c.store(to + 2 * words);
  e.store(to + 3 * words);
}

class WordSource {
 public:
  WordSource(std::uint64_t seed, std::uint64_t stream) : stream_(stream) {
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
    for (int r = 0; r < 10; ++r, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) keys_[2 * r] = k0, keys_[2 * r + 1] = k1;
    // lanes 0, 2, 4, ... take the first half of the counters and 1, 3, 5, ... the second, for the interleaved stores
    const std::size_t lanes = hn::Lanes(D64());
    for (std::size_t i = 0; i < lanes; ++i) order_[i] = i % 2 == 0 ? i / 2 : lanes / 2 + i / 2;
  }
  /// The n words from number `index` on. From `soon` on as many values are fetched meanwhile.
  HWY_INLINE void fill(std::uint64_t index, std::size_t n, Words& w, const float* soon) const {
    const D64 d64;
    const std::size_t lanes = hn::Lanes(d64);
    V64 counter = hn::Add(hn::Load(d64, order_), hn::Set(d64, index / 4));
    const V64 next = hn::Set(d64, lanes), far = hn::Set(d64, 4 * lanes);
    for (std::size_t i = 0, wanted = n + index % 4; i < wanted; i += 16 * lanes) {
      for (std::size_t k = 0; k < 16 * lanes; k += 16) hwy::Prefetch(soon + i + k);
      philox_words(counter, next, stream_, keys_, w.room + i);
      counter = hn::Add(counter, far);
    }
    w.first = w.room + index % 4;
  }

 private:
  std::uint64_t stream_;
  HWY_ALIGN std::uint64_t keys_[20];
  HWY_ALIGN std::uint64_t order_[HWY_MAX_BYTES / 8];
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
