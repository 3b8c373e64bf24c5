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
    hwy::Prefetch(x + i + kAhead);
    hwy::Prefetch(x + i + lanes + kAhead);
    a = Op::merge(a, Op::of(hn::LoadU(d, x + i)));
    b = Op::merge(b, Op::of(hn::LoadU(d, x + i + lanes)));
  }
  if (i < whole) b = Op::merge(b, Op::of(hn::LoadU(d, x + i)));
  return hn::GetLane(Op::all(Op::merge(a, b)));
}

template <bool kStream, class Quantizer>
HWY_INLINE void quantize_any(const Quantizer q, const Strip& s, const float* x, float* y, std::size_t n) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  const V c0 = constant<Quantizer>(s, 0, 0), c1 = constant<Quantizer>(s, 1, 0), c2 = constant<Quantizer>(s, 2, 0);
  // a row that fits the second cache is still there from its measurement: fetch the next one meanwhile
  const std::size_t ahead = n <= 16 * kAhead ? n : kAhead;
  for (std::size_t i = 0; i < whole; i += lanes) {
    hwy::Prefetch(x + i + ahead);
    put<kStream>(q.value(hn::LoadU(d, x + i), c0, c1, c2), y + i);
  }
  if (whole == n) return;
  const Tail tail(x + whole, n - whole);
  HWY_ALIGN float out[HWY_MAX_BYTES / 4];
  hn::Store(q.value(hn::Load(d, tail.values), c0, c1, c2), d, out);
  std::copy_n(out, n - whole, y + whole);
}

/// n values of a group that measured as given; false if only the reference can do it.
template <class Quantizer>
HWY_INLINE bool quantize_known(const Quantizer q, Measured measured, const float* x, float* y, std::size_t n,
                               bool stream) {
  Strip s;
  std::fill_n(s.largest, hn::Lanes(D()), measured.largest);
  std::fill_n(s.least, hn::Lanes(D()), measured.least);
  prepare(q, 1, s);
  if (s.flags[0] == kUnusual) return false;
  if (s.flags[0] == kZero) {
    std::fill_n(y, n, 0.0f);
  } else if (stream) {
    quantize_any<true>(q, s, x, y, n);
    hwy::FlushStream();
  } else {
    quantize_any<false>(q, s, x, y, n);
  }
  return true;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
