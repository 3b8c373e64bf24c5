// Vector kernels of the blockwise Walsh-Hadamard transform. Every value is made by the additions of hadamard_ref in
// their order: a - b is computed as a + (-1) b, which has the same bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/hadamard.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "formats/kernels/hadamard.hpp"
#include "formats/kernels/held-inl.h"
#include "formats/kernels/kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using DU = hn::RebindToUnsigned<D>;
using V = hn::Vec<D>;
constexpr std::size_t kMostLanes = 16;
constexpr std::size_t kAhead = 2048;  ///< values: 8 KiB that are fetched ahead of the first pass

/// -1 in the lanes that are subtracted.
HWY_INLINE V step_signs(std::size_t stride) {
  alignas(64) float signs[kMostLanes];
  for (std::size_t i = 0; i < kMostLanes; ++i) signs[i] = i & stride ? -1.0f : 1.0f;
  return hn::Load(D(), signs);
}

HWY_INLINE hn::Vec<DU> partners(std::size_t stride) {
  alignas(64) std::uint32_t index[kMostLanes];
  const std::size_t lanes = hn::Lanes(D());
  for (std::size_t i = 0; i < kMostLanes; ++i) index[i] = static_cast<std::uint32_t>((i ^ stride) % lanes);
  return hn::Load(DU(), index);
}

/// The butterflies inside one vector.
struct LaneSteps {
  Held<D> sign1, sign2, sign4, sign8;
  Held<DU> partner4, partner8;
  LaneSteps()
      : sign1(step_signs(1)),
        sign2(step_signs(2)),
        sign4(step_signs(4)),
        sign8(step_signs(8)),
        partner4(partners(4)),
        partner8(partners(8)) {}

  /// partner + v or partner - v: a product with +-1 is exact, so that a fused multiply-add rounds as the sum does.
  static HWY_INLINE V step(V v, V partner, V sign) { return hn::MulAdd(v, sign, partner); }
  /// Strides 1, 2, ... below `width`, the length of a row that is shorter than a vector.
  HWY_INLINE V below(V v, [[maybe_unused]] std::size_t width) const {
#if HWY_TARGET != HWY_SCALAR  // there a vector is one value
    const D d;
    if (width > 1) v = step(v, hn::Shuffle2301(v), sign1);
    if (width > 2) v = step(v, hn::Shuffle1032(v), sign2);
    if (width > 4) v = step(v, hn::TableLookupLanes(v, hn::IndicesFromVec(d, hn::Vec<DU>(partner4))), sign4);
    if (width > 8) v = step(v, hn::TableLookupLanes(v, hn::IndicesFromVec(d, hn::Vec<DU>(partner8))), sign8);
#endif
    return v;
  }
  /// All strides of a vector.
  HWY_INLINE V whole(V v) const {
    return below(v, hn::Lanes(D()));
  }
};

HWY_INLINE void butterfly(V& a, V& b) {
  const V sum = hn::Add(a, b);
  b = hn::Sub(a, b);
  a = sum;
}

/// What becomes of results: stored, stored past the caches, or only measured.
enum class To { memory, past_caches, maximum };

/// How a pass reads and writes. kFirst: reads x, multiplies the signs in, does the steps inside vectors. kLast:
/// multiplies the norm and the signs, and leaves a NaN in `bad` if a result is NaN or infinite: rare, and looked for
/// here, it costs one instruction a vector; NaNs are made canonical afterwards. (To::maximum: leaves the largest
/// magnitudes in `bad`.) kWhole: rows are at least as long as a vector; else of `width` values.
template <bool kFirst, bool kLast, To kTo, bool kWhole = true>
struct Pass {
  LaneSteps steps;
  const float *signs_in, *signs_out;
  std::size_t width;
  Held<D> norm;
  Pass(const HadamardPlan& plan, const LaneSteps& lane_steps, std::size_t row)
      : steps(lane_steps),
        signs_in(plan.signs_in),
        signs_out(plan.signs_out),
        width(row),
        norm(hn::Set(D(), plan.norm)) {}

  HWY_INLINE V load(const float* x, std::size_t at) const {
    const D d;
    V v = hn::LoadU(d, x + at);
    if constexpr (kFirst) {
      if (signs_in != nullptr) v = hn::Mul(v, hn::LoadU(d, signs_in + at));
      hwy::Prefetch(x + at + kAhead);
      v = kWhole ? steps.whole(v) : steps.below(v, width);
    }
    return v;
  }
  template <bool kLook = true>
  HWY_INLINE void store(V v, float* y, std::size_t at, [[maybe_unused]] V& bad) const {
    const D d;
    if constexpr (kLast) {
      v = hn::Mul(v, V(norm));
      if (signs_out != nullptr) v = hn::Mul(v, hn::LoadU(d, signs_out + at));
      if constexpr (kTo == To::maximum) {
        const hn::RebindToSigned<D> di;  // as integers, NaN and infinity are the largest
        bad = hn::BitCast(d, hn::Max(hn::BitCast(di, bad), hn::BitCast(di, hn::Abs(v))));
        return;
      }
      if constexpr (kLook) bad = hn::MulAdd(v, hn::Zero(d), bad);
    }
    if constexpr (kTo == To::past_caches)
      hn::Stream(v, d, y + at);
    else
      hn::StoreU(v, d, y + at);
  }

  /// 2^kLog vectors that lie h values apart, from value `at` on. (Named, since vectors of some targets have no arrays.)
  /// A difference is NaN only beside a sum that is NaN or infinite: it is enough to look at the sums.
  template <int kLog>
  HWY_INLINE void radix(const float* x, float* y, std::size_t at, std::size_t h, V& bad) const {
    V a = load(x, at), b = a, c = a, e = a, f = a, g = a, k = a, l = a;
    if constexpr (kLog >= 1) b = load(x, at + h);
    if constexpr (kLog >= 2) c = load(x, at + 2 * h), e = load(x, at + 3 * h);
    if constexpr (kLog >= 3) {
      f = load(x, at + 4 * h), g = load(x, at + 5 * h);
      k = load(x, at + 6 * h), l = load(x, at + 7 * h);
    }
    if constexpr (kLog >= 1) butterfly(a, b);
    if constexpr (kLog >= 2) butterfly(c, e);
    if constexpr (kLog >= 3) butterfly(f, g), butterfly(k, l);
    if constexpr (kLog >= 2) butterfly(a, c), butterfly(b, e);
    if constexpr (kLog >= 3) butterfly(f, k), butterfly(g, l);
    if constexpr (kLog >= 3) butterfly(a, f), butterfly(b, g), butterfly(c, k), butterfly(e, l);
    store(a, y, at, bad);
    if constexpr (kLog >= 1) store<(kLog > 1)>(b, y, at + h, bad);
    if constexpr (kLog >= 2) store<(kLog > 2)>(c, y, at + 2 * h, bad), store<(kLog > 2)>(e, y, at + 3 * h, bad);
    if constexpr (kLog >= 3) {
      store<false>(f, y, at + 4 * h, bad), store<false>(g, y, at + 5 * h, bad);
      store<false>(k, y, at + 6 * h, bad), store<false>(l, y, at + 7 * h, bad);
    }
  }

  /// The strides h, 2 h, ..., 2^(kLog - 1) h of values [begin, end).
  template <int kLog>
  HWY_INLINE V sweep(const float* x, float* y, std::size_t begin, std::size_t end, std::size_t h) const {
    const std::size_t lanes = hn::Lanes(D());
    const Pass pass = *this;  // in registers: what is read through a pointer is read again after every store
    V bad = hn::Zero(D());
    for (std::size_t i = begin; i < end; i += h << kLog)
      for (std::size_t j = i; j < i + h; j += lanes) pass.template radix<kLog>(x, y, j, h, bad);
    return bad;
  }
  HWY_INLINE V operator()(int log, const float* x, float* y, std::size_t begin, std::size_t end, std::size_t h) const {
    if (log == 3) return sweep<3>(x, y, begin, end, h);
    if (log == 2) return sweep<2>(x, y, begin, end, h);
    if (log == 1) return sweep<1>(x, y, begin, end, h);
    return sweep<0>(x, y, begin, end, h);
  }
};

int log_of(std::size_t power) {
  int log = 0;
  while (std::size_t{1} << log < power) ++log;
  return log;
}

/// Rows of `inner` values, all of x to y; `last`: y gets the results of the transform.
/// Returns what the last pass leaves in `bad`.
template <To kTo>
V transform_rows(const HadamardPlan& plan, const LaneSteps& steps, const float* x, float* work, float* y, bool last) {
  const std::size_t lanes = hn::Lanes(D()), inner = plan.inner;
  const Pass<true, false, To::memory> first(plan, steps, lanes);
  const Pass<false, false, To::memory> middle(plan, steps, lanes);
  const Pass<false, true, kTo> end(plan, steps, lanes);
  const Pass<true, true, kTo> only(plan, steps, lanes);
  int left = log_of(inner / lanes);
  int log = std::min(left, 3);
  std::size_t h = lanes;
  left -= log;
  if (left == 0 && last) return only(log, x, y, 0, plan.n, h);
  first(log, x, work, 0, plan.n, h);
  while (left > 0) {
    h <<= log;
    log = std::min(left, 3);
    left -= log;
    if (left == 0 && last) return end(log, work, y, 0, plan.n, h);
    middle(log, work, work, 0, plan.n, h);
  }
  return hn::Zero(D());
}

/// y[c, :] = sum over r of +-work[r, :], rows of `inner` values (a multiple of the lanes), columns in fours for speed.
template <To kTo>
V outer_product(const HadamardPlan& plan, const Pass<false, true, kTo>& pass, const float* work, std::size_t inner,
                float* y) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), m = plan.m;
  V bad = hn::Zero(d);
  alignas(64) float rows[2 * 36 * kMostLanes];
  for (std::size_t i = 0; i < inner; i += lanes) {
    for (std::size_t r = 0; r < m; ++r) {
      const V v = hn::LoadU(d, work + r * inner + i);
      hn::Store(v, d, rows + r * lanes);
      hn::Store(hn::Neg(v), d, rows + (m + r) * lanes);
    }
    for (std::size_t c = 0; c < m; c += 4) {
      const std::uint32_t* pick = plan.picks.data() + c * m;
      const auto row = [&](std::size_t column, std::size_t r) {
        return hn::Load(d, rows + pick[column * m + r] * lanes);
      };
      V s0 = row(0, 0), s1 = row(1, 0), s2 = row(2, 0), s3 = row(3, 0);
      for (std::size_t r = 1; r < m; ++r) {
        s0 = hn::Add(s0, row(0, r));
        s1 = hn::Add(s1, row(1, r));
        s2 = hn::Add(s2, row(2, r));
        s3 = hn::Add(s3, row(3, r));
      }
      pass.store(s0, y, c * inner + i, bad);
      pass.store(s1, y, (c + 1) * inner + i, bad);
      pass.store(s2, y, (c + 2) * inner + i, bad);
      pass.store(s3, y, (c + 3) * inner + i, bad);
    }
  }
  return bad;
}

/// Values that are worked on at a time where blocks are shorter: they stay in the first cache between the passes.
constexpr std::size_t kChunk = 2048;
/// Longer blocks are finished in y, where they cannot be stored past the caches.
constexpr std::size_t kInCache = 4096;

/// Makes the NaNs of y canonical, if `bad` says that there may be any.
HWY_INLINE void mend(V bad, float* y, std::size_t n) {
  const D d;
  if (HWY_LIKELY(hn::AllTrue(d, hn::Eq(bad, hn::Zero(d))))) return;
  for (std::size_t i = 0; i < n; ++i)
    if (std::isnan(y[i])) y[i] = std::numeric_limits<float>::quiet_NaN();
}

/// m = 1: calls use(plan, i, scratch) for chunks of values from value i on, a block or several whose signs repeat, with
/// the plan of such a chunk and kInCache values of scratch.
template <class Use>
HWY_INLINE void for_each_chunk(const HadamardPlan& plan, std::size_t values, const Use& use) {
  const std::size_t step = plan.n < kChunk ? kChunk / plan.n * plan.n : plan.n;
  float* scratch = hadamard_scratch(2 * kInCache);
  const float* signs = plan.signs_in != nullptr ? plan.signs_in : plan.signs_out;
  HadamardPlan wide = plan;
  if (signs != nullptr && step > plan.n) {
    float* repeated = scratch + kInCache;
    for (std::size_t i = 0; i < step; i += plan.n) std::memcpy(repeated + i, signs, plan.n * sizeof(float));
    (plan.signs_in != nullptr ? wide.signs_in : wide.signs_out) = repeated;
  }
  for (std::size_t i = 0; i < values; i += step) {
    wide.n = std::min(step, values - i);
    use(wide, i, scratch);
  }
}

template <To kTo>
void run_rows(const HadamardPlan& plan, const float* x, float* y, std::size_t values) {
  const LaneSteps steps;
  for_each_chunk(plan, values, [&](const HadamardPlan& chunk, std::size_t i, float* scratch) HWY_ATTR {
    float* work = kTo == To::past_caches && chunk.n <= kInCache ? scratch : y + i;
    mend(transform_rows<kTo>(chunk, steps, x + i, work, y + i, true), y + i, chunk.n);
  });
}

/// m > 1, inner >= lanes: vectors lie along the rows.
template <To kTo>
void run_product(const HadamardPlan& plan, const float* x, float* y, std::size_t blocks) {
  float* scratch = hadamard_scratch(plan.n);
  const LaneSteps steps;
  const Pass<false, true, kTo> end(plan, steps, 0);
  for (std::size_t b = 0; b < blocks; ++b, x += plan.n, y += plan.n) {
    transform_rows<kTo>(plan, steps, x, scratch, y, false);
    mend(outer_product(plan, end, scratch, plan.inner, y), y, plan.n);
  }
}

/// m = 1, inner < lanes: several blocks in a vector; `blocks` fill whole vectors. Signs repeat.
void run_short(const HadamardPlan& plan, const float* x, float* y, std::size_t blocks) {
  const std::size_t lanes = hn::Lanes(D());
  alignas(64) float in[kMostLanes], out[kMostLanes];
  HadamardPlan wide = plan;
  for (std::size_t i = 0; i < kMostLanes; ++i) {
    if (plan.signs_in != nullptr) in[i] = plan.signs_in[i % plan.n];
    if (plan.signs_out != nullptr) out[i] = plan.signs_out[i % plan.n];
  }
  if (plan.signs_in != nullptr) wide.signs_in = in;
  if (plan.signs_out != nullptr) wide.signs_out = out;
  const LaneSteps steps;
  const Pass<true, true, To::memory, false> pass(wide, steps, plan.n);
  V bad = hn::Zero(D());
  for (std::size_t i = 0; i < blocks * plan.n; i += lanes) pass.template radix<0>(x + i, y + i, 0, 0, bad);
  mend(bad, y, blocks * plan.n);
}

/// m > 1, inner < lanes: a vector holds one value of as many blocks as there are lanes.
void run_across(const HadamardPlan& plan, const float* x, float* y, std::size_t blocks) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), n = plan.n;
  float* work = hadamard_scratch(2 * n * lanes);
  float* result = work + n * lanes;
  HadamardPlan plain = plan;
  plain.signs_in = plain.signs_out = nullptr;  // multiplied in where values are moved
  const LaneSteps steps;
  const Pass<false, false, To::memory> pass(plain, steps, 0);
  const Pass<false, true, To::memory> end(plain, steps, 0);
  for (std::size_t b = 0; b < blocks; b += lanes) {
    const std::size_t present = std::min(lanes, blocks - b);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < lanes; ++k) {
        const float v = k < present ? x[(b + k) * n + i] : 0.0f;
        work[i * lanes + k] = plan.signs_in != nullptr ? v * plan.signs_in[i] : v;
      }
    for (std::size_t h = lanes; h < plan.inner * lanes; h *= 2) pass(1, work, work, 0, n * lanes, h);
    mend(outer_product(plain, end, work, plan.inner * lanes, result), result, n * lanes);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < present; ++k) {
        const float v = result[i * lanes + k];
        const bool sign = plan.signs_out != nullptr && v == v;  // NaN stays the canonical one
        y[(b + k) * n + i] = sign ? v * plan.signs_out[i] : v;
      }
  }
}

void RunHadamard(const HadamardPlan& plan, const float* x, float* y, std::size_t blocks) {
  const std::size_t lanes = hn::Lanes(D());
  if (plan.inner >= lanes && plan.m == 1)
    return plan.stream ? run_rows<To::past_caches>(plan, x, y, blocks * plan.n)
                       : run_rows<To::memory>(plan, x, y, blocks * plan.n);
  if (plan.inner >= lanes)
    return plan.stream ? run_product<To::past_caches>(plan, x, y, blocks) : run_product<To::memory>(plan, x, y, blocks);
  if (plan.m > 1) return run_across(plan, x, y, blocks);
  const std::size_t whole = blocks * plan.n / lanes * lanes, rest = blocks * plan.n - whole;
  run_short(plan, x, y, whole / plan.n);
  if (rest == 0) return;
  alignas(64) float padded[kMostLanes] = {};
  std::memcpy(padded, x + whole, rest * sizeof(float));
  run_short(plan, padded, padded, lanes / plan.n);
  std::memcpy(y + whole, padded, rest * sizeof(float));
}

float HadamardMaximum(const HadamardPlan& plan, const float* x, float* work, std::size_t blocks) {
  if (plan.m > 1 || plan.inner < hn::Lanes(D())) {
    RunHadamard(plan, x, work, blocks);
    return finite_maximum(work, blocks * plan.n);
  }
  const D d;
  const LaneSteps steps;
  float largest = 0;
  for_each_chunk(plan, blocks * plan.n, [&](const HadamardPlan& chunk, std::size_t i, float*) HWY_ATTR {
    const V magnitude = transform_rows<To::maximum>(chunk, steps, x + i, work, nullptr, true);
    if (HWY_LIKELY(hn::AllTrue(d, hn::Lt(magnitude, hn::Inf(d))))) {
      largest = std::max(largest, hn::GetLane(hn::MaxOfLanes(d, magnitude)));
    } else {
      transform_rows<To::memory>(chunk, steps, x + i, work, work, true);
      largest = std::max(largest, finite_maximum(work, chunk.n));
    }
  });
  return largest;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {

HWY_EXPORT(RunHadamard);
HWY_EXPORT(HadamardMaximum);

void run_hadamard(const HadamardPlan& plan, const float* x, float* y, std::size_t blocks) {
  HWY_DYNAMIC_DISPATCH(RunHadamard)(plan, x, y, blocks);
}
float hadamard_maximum(const HadamardPlan& plan, const float* x, float* work, std::size_t blocks) {
  return HWY_DYNAMIC_DISPATCH(HadamardMaximum)(plan, x, work, blocks);
}

}  // namespace lowbit::kernels
#endif
