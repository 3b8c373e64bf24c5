// Words of stochastic rounding: Philox4x32-10 on vectors of counters (random.hpp has the scalar routine and the
// source).
#if defined(LOWBIT_KERNELS_RANDOM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_RANDOM_INL_H
#undef LOWBIT_KERNELS_RANDOM_INL_H
#else
#define LOWBIT_KERNELS_RANDOM_INL_H
#endif

#include <hwy/cache_control.h>

#include <utility>

#include "formats/kernels/grid-inl.h"
#include "formats/kernels/held-inl.h"
#include "formats/random.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Words of up to kValues consecutive values.
struct Words {
  static constexpr std::size_t kValues = 512 * HWY_MAX_BYTES / 4 + 2048;
  /// Two vectors of counters of the widest target more than are asked for, and the words before the first in its block
  /// of four.
  HWY_ALIGN std::uint32_t room[kValues + HWY_MAX_BYTES + 4];
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

/// Upper halves of 64-bit lanes in the lower ones: a shuffle, which more units of a processor do than a shift.
HWY_INLINE V64 upper(V64 v) {
  return hn::BitCast(D64(), hn::DupOdd(hn::BitCast(hn::RepartitionToNarrow<D64>(), v)));
}

/// What the first two rounds make of the seed, the stream and the upper half of the counter alone.
struct PhiloxStart {
  std::uint64_t before_second, before_third, after_second, c3;
  PhiloxStart(const std::uint64_t* keys, std::uint64_t stream, std::uint64_t counter) {
    const std::uint64_t b = (stream & 0xffffffffu) * 0xCD9E8D57u;
    const std::uint64_t c0 = (b >> 32) ^ (counter >> 32) ^ keys[0];
    c3 = c0 * 0xD2511F53u;
    before_second = (stream >> 32) ^ keys[1];
    before_third = b ^ keys[2];
    after_second = (c3 >> 32) ^ keys[3];
  }
};

/// Counters at work. Low halves of 64-bit lanes hold the 32-bit numbers; what is above never matters.
struct Philox {
  Held<D64> c0, c1, c2, c3;
  /// After two rounds, whose other halves are the same for all counters.
  HWY_INLINE Philox(V64 counter, const PhiloxStart& start) {
    const D64 d64;
    const V64 a = product(counter, 0xD2511F53u);
    c1 = product(hn::Xor(upper(a), hn::Set(d64, start.before_second)), 0xCD9E8D57u);
    c0 = hn::Xor(upper(c1), hn::Set(d64, start.before_third));
    c2 = hn::Xor(a, hn::Set(d64, start.after_second));
    c3 = hn::Set(d64, start.c3);
  }

  HWY_INLINE void round(V64 key0, V64 key1) {
    const V64 a = product(c0, 0xD2511F53u), b = product(c2, 0xCD9E8D57u);
    c0 = hn::Xor3(upper(b), V64(c1), key0);
    c2 = hn::Xor3(upper(a), V64(c3), key1);
    c1 = b;
    c3 = a;
  }
  /// Four words of each counter.
  HWY_INLINE void store(std::uint32_t* HWY_RESTRICT to) const {
    const D64 d64;
    const hn::RepartitionToNarrow<D64> d32;
    const auto joined = [&](V64 even, V64 odd) HWY_ATTR {
      return hn::BitCast(d64, hn::OddEven(hn::DupEven(hn::BitCast(d32, odd)), hn::BitCast(d32, even)));
    };
    const V64 w01 = joined(c0, c1), w23 = joined(c2, c3);
    hn::StoreU(hn::BitCast(d32, hn::InterleaveLower(d64, w01, w23)), d32, to);
    hn::StoreU(hn::BitCast(d32, hn::InterleaveUpper(d64, w01, w23)), d32, to + 2 * hn::Lanes(d64));
  }
};

/// The rounds from the third on, of some vectors of counters side by side, and their words.
template <class... Counters>
HWY_INLINE void philox_words(const std::uint64_t* HWY_RESTRICT keys, std::uint32_t* HWY_RESTRICT to,
                             Counters... counters) {
  for (int r = 4; r < 20; r += 2) {
    const V64 key0 = hn::Set(D64(), keys[r]), key1 = hn::Set(D64(), keys[r + 1]);
    (counters.round(key0, key1), ...);
  }
  ((counters.store(to), to += 4 * hn::Lanes(D64())), ...);
}

/// Vectors of counters that are worked on side by side, since each alone waits for its multiplications: as many as
/// there are registers for.
constexpr std::size_t kCountersAbreast = HWY_MAX_BYTES == 64 ? 6 : 3;

class WordSource {
 public:
  WordSource(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
    for (int r = 0; r < 10; ++r, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) keys_[2 * r] = k0, keys_[2 * r + 1] = k1;
    // lanes 0, 2, 4, ... take the first half of the counters and 1, 3, 5, ... the second, for the interleaved stores
    const std::size_t lanes = hn::Lanes(D64());
    for (std::size_t i = 0; i < lanes; ++i) order_[i] = i % 2 == 0 ? i / 2 : lanes / 2 + i / 2;
  }
  /// The n words from number `index` on. From `soon` on as many values are fetched meanwhile.
  void fill(std::uint64_t index, std::size_t n, Words& w, const float* soon) const {
    const std::size_t before = index % 4, wanted = n + before, vector = 4 * hn::Lanes(D64());
    const std::uint64_t counter = index / 4;
    w.first = w.room + before;
    if (HWY_UNLIKELY((counter ^ (counter + wanted / 4)) >> 32 != 0)) {
      for (std::size_t i = 0; i < n; ++i) w.room[before + i] = random_word(seed_, stream_, index + i);
      return;
    }
    const PhiloxStart start(keys_, stream_, counter);
    const std::size_t many = wanted / (kCountersAbreast * vector), done = many * kCountersAbreast * vector;
    batches(std::make_index_sequence<kCountersAbreast>(), start, counter, many, w.room, soon);
    const std::size_t rest = (wanted - done + 2 * vector - 1) / (2 * vector);
    batches(std::make_index_sequence<2>(), start, counter + done / 4, rest, w.room + done, soon + done);
  }

 private:
  /// A function of its own, since compilers that have to keep other things too spill what is at work.
  template <std::size_t... k>
  HWY_NOINLINE void batches(std::index_sequence<k...>, const PhiloxStart& start, std::uint64_t first, std::size_t many,
                            std::uint32_t* HWY_RESTRICT to, const float* soon) const {
    const D64 d64;
    const std::size_t lanes = hn::Lanes(d64), words = sizeof...(k) * 4 * lanes;
    V64 counter = hn::Add(hn::Load(d64, order_), hn::Set(d64, first));
    for (; many > 0; --many, to += words, soon += words) {
      for (std::size_t i = 0; i < words; i += 16) hwy::Prefetch(soon + i);
      philox_words(keys_, to, Philox(hn::Add(counter, hn::Set(d64, k * lanes)), start)...);
      counter = hn::Add(counter, hn::Set(d64, words / 4));
    }
  }

  std::uint64_t seed_, stream_;
  HWY_ALIGN std::uint64_t keys_[20];
  HWY_ALIGN std::uint64_t order_[HWY_MAX_BYTES / 8];
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
