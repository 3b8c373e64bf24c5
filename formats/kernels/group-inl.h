// One group of any length: whole channels, whole tensors, the last group of a row. Included once per target.
#if defined(LOWBIT_KERNELS_GROUP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_GROUP_INL_H
#undef LOWBIT_KERNELS_GROUP_INL_H
#else
#define LOWBIT_KERNELS_GROUP_INL_H
#endif

#include <algorithm>

#include "formats/kernels/fake_quantize.hpp"
#include "formats/kernels/strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

constexpr std::size_t kAhead = 1024;  ///< values that are fetched ahead of a pass over memory
/// Groups of at most this many values are still in the second cache after their measurement. The next one is fetched
/// while they are quantised, and its beginning while they are measured, so that the memory is never idle.
constexpr std::size_t kCached = 16 * kAhead;

/// The last n values of a group, fewer than a vector, padded with the last of them.
struct Tail {
  HWY_ALIGN float values[HWY_MAX_BYTES / 4];
  HWY_INLINE Tail(const float* x, std::size_t n) {
    for (std::size_t i = 0; i < hn::Lanes(D()); ++i) values[i] = x[std::min(i, n - 1)];
  }
};

/// One statistic of n >= 1 values.
template <class Op>
HWY_INLINE std::int32_t measure_any(const float* HWY_RESTRICT x, std::size_t n) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  const Tail tail(x + (whole < n ? whole : 0), whole < n ? n - whole : 1);
  VI a = Op::of(hn::Load(d, tail.values)), b = a;
  std::size_t i = 0;
  for (; i + 2 * lanes <= whole; i += 2 * lanes) {
    if (whole <= kCached) {
      hwy::Prefetch(x + n + i / 4);
    } else {
      hwy::Prefetch(x + i + kAhead);
      hwy::Prefetch(x + i + lanes + kAhead);
    }
    a = Op::merge(a, Op::of(hn::LoadU(d, x + i)));
    b = Op::merge(b, Op::of(hn::LoadU(d, x + i + lanes)));
  }
  if (i < whole) b = Op::merge(b, Op::of(hn::LoadU(d, x + i)));
  return hn::GetLane(Op::all(Op::merge(a, b)));
}

/// At most Words::kValues values from the constants of block 0.
template <bool kRandom, class Quantizer, class Sink>
HWY_INLINE void quantize_part(const Quantizer q, const BlockPlan& plan, const Strip& s, const float* x, Sink sink,
                              std::size_t n, std::uint64_t index, std::size_t ahead) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  Words words;
  if constexpr (kRandom) WordSource(plan.seed, plan.stream_number).fill(index, n, words, x + ahead);
  const std::uint32_t* word = kRandom ? words.first : nullptr;
  quantize_block<kRandom, 0>(q, s, 0, x, sink, whole, word, ahead);
  if (whole == n) return;
  const Tail tail(x + whole, n - whole);
  HWY_ALIGN float out[HWY_MAX_BYTES / 4];
  Sink last = sink;
  if constexpr (Sink::kCodes)
    last.codes = reinterpret_cast<std::uint8_t*>(out);
  else
    last.y = out;
  quantize_block<kRandom, 1>(q, s, 0, tail.values, last, lanes, kRandom ? word + whole : nullptr, 0);
  sink.at(whole).copy_from(last, n - whole);
}

template <class Quantizer, class Sink>
HWY_INLINE void quantize_any(const Quantizer q, const BlockPlan& plan, const Strip& s, const float* x, Sink sink,
                             std::size_t n, std::uint64_t index) {
  const std::size_t ahead = n <= kCached ? n : kAhead;
  for (std::size_t at = 0; at < n; at += Words::kValues) {
    const std::size_t m = std::min(Words::kValues, n - at);
    if (Quantizer::kDraws && plan.rounding == Rounding::sr)
      quantize_part<Quantizer::kDraws>(q, plan, s, x + at, sink.at(at), m, index + at, ahead);
    else
      quantize_part<false>(q, plan, s, x + at, sink.at(at), m, index + at, ahead);
  }
}

/// n values of a group that measured as given, constants in block 0 of s. False if only the reference can do it.
template <class Quantizer, class Sink>
HWY_INLINE bool quantize_known(const Quantizer q, const BlockPlan& plan, Measured measured, Strip& s, const float* x,
                               Sink sink, std::size_t n, std::uint64_t index) {
  std::fill_n(s.largest, hn::Lanes(D()), measured.largest);
  std::fill_n(s.least, hn::Lanes(D()), measured.least);
  prepare(q, 1, s);
  if (s.flags[0] == kUnusual) return false;
  if (s.flags[0] == kZero)
    sink.zeros(n, plan.zero_code);
  else
    quantize_any(q, plan, s, x, sink, n, index);
  return true;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
