// Quantising consecutive blocks strip by strip: measure every block of a strip that fits the first cache, make all
// scales at once, quantise from the cache. Kernels that make their input on the way (a rotation, a decoder) call
// quantize_strip on what they have just written; with_quantizer turns a plan into the type that it takes.
#if defined(LOWBIT_KERNELS_STRIP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_STRIP_INL_H
#undef LOWBIT_KERNELS_STRIP_INL_H
#else
#define LOWBIT_KERNELS_STRIP_INL_H
#endif

#include <hwy/cache_control.h>

#include <algorithm>

#include "formats/kernels/reduce-inl.h"
#include "formats/kernels/scaler-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Values of a strip: 8 KiB, so that a strip, its results and the strip that is fetched meanwhile share a first-level
/// cache.
constexpr std::size_t kStripValues = 2048;
constexpr std::size_t kStripBlocks = 256;

/// Blocks of `group` values in a strip, a multiple of the lanes.
HWY_INLINE std::size_t strip_blocks(std::size_t group) {
  const std::size_t lanes = hn::Lanes(D());
  const std::size_t fit = std::min(kStripBlocks, kStripValues / group) / lanes * lanes;
  return std::max(fit, lanes);
}

/// What is known of the blocks of one strip.
struct Strip {
  static constexpr std::size_t kRoom = kStripBlocks + HWY_MAX_BYTES / 4;
  HWY_ALIGN float constants[3 * kRoom];
  HWY_ALIGN std::int32_t flags[kRoom];
  HWY_ALIGN std::int32_t largest[kRoom];  ///< bits of the largest magnitude, or ordered bits of the largest value
  HWY_ALIGN std::int32_t least[kRoom];    ///< ordered bits of the least value
};

/// Calls use(n) with n the vectors of a group as a compile-time constant for short groups, else 0 for any number.
template <class Use>
HWY_INLINE void with_vectors(std::size_t vectors, const Use& use) {
  using std::integral_constant;
  switch (vectors) {
    case 1:
      return use(integral_constant<int, 1>());
    case 2:
      return use(integral_constant<int, 2>());
    case 4:
      return use(integral_constant<int, 4>());
    default:
      return use(integral_constant<int, 0>());
  }
}

/// One statistic of `blocks` blocks of `group` values, a multiple of the lanes.
template <class Op, int kVectors>
HWY_INLINE void measure(const float* x, std::size_t any_group, std::size_t blocks, std::int32_t* out) {
  const DI di;
  const std::size_t lanes = hn::Lanes(di), group = kVectors == 0 ? any_group : kVectors * lanes;
  std::size_t b = 0;
  for (; b + lanes <= blocks; b += lanes) hn::StoreU(fold_blocks<Op>(x + b * group, group), di, out + b);
  for (; b < blocks; ++b) out[b] = hn::GetLane(Op::all(fold<Op>(x + b * group, group)));
}

/// Constants and flags of the measured blocks. True if all are ordinary.
template <class Quantizer>
HWY_INLINE bool prepare(const Quantizer q, std::size_t blocks, Strip& s) {
  const DI di;
  const std::size_t lanes = hn::Lanes(di);
  VI any = hn::Zero(di);
  for (std::size_t b = 0; b < blocks; b += lanes) {
    const VI largest = hn::LoadU(di, s.largest + b);
    const VI first = Quantizer::kRange ? hn::LoadU(di, s.least + b) : largest;
    const VI flags = q.prepare(first, largest, Constants{s.constants + b, Strip::kRoom});
    hn::StoreU(flags, di, s.flags + b);
    any = hn::Or(any, hn::IfThenElse(hn::Lt(hn::Iota(di, 0), hn::Set(di, static_cast<std::int32_t>(blocks - b))), flags,
                                     hn::Zero(di)));
  }
  return hn::AllTrue(di, hn::Eq(any, hn::Zero(di)));
}

template <int kVectors, class Quantizer>
HWY_INLINE bool measure_and_prepare(const Quantizer q, const float* x, std::size_t group, std::size_t blocks,
                                    Strip& s) {
  if constexpr (Quantizer::kRange) {
    measure<Largest, kVectors>(x, group, blocks, s.largest);
    measure<Least, kVectors>(x, group, blocks, s.least);
  } else {
    measure<LargestMagnitude, kVectors>(x, group, blocks, s.largest);
  }
  return prepare(q, blocks, s);
}

/// Constant k of block b in every lane; unused ones cost nothing.
template <class Quantizer>
HWY_INLINE V constant(const Strip& s, int k, std::size_t b) {
  return k < Quantizer::kConstants ? hn::Set(D(), s.constants[static_cast<std::size_t>(k) * Strip::kRoom + b])
                                   : hn::Zero(D());
}

template <bool kStream>
HWY_INLINE void put(V v, float* y) {
  if constexpr (kStream)
    hn::Stream(v, D(), y);
  else
    hn::StoreU(v, D(), y);
}

template <bool kStream>
HWY_INLINE void fill_zero(float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; i += hn::Lanes(D())) put<kStream>(hn::Zero(D()), y + i);
}

template <bool kStream, int kVectors, class Quantizer>
HWY_INLINE void quantize_strip_of(const Quantizer q, const BlockPlan& plan, const float* x, float* y,
                                  std::size_t blocks, std::uint64_t index, std::size_t ahead) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), group = kVectors == 0 ? plan.group : kVectors * lanes;
  Strip s;
  const bool ordinary = measure_and_prepare<kVectors>(q, x, group, blocks, s);
  for (std::size_t b = 0; b < blocks; ++b, x += group, y += group) {
    if (HWY_UNLIKELY(!ordinary && s.flags[b] != kOrdinary)) {
      if (s.flags[b] == kZero)
        fill_zero<kStream>(y, group);
      else
        reference_group(plan, x, y, group, index + b * group);
      continue;
    }
    const V c0 = constant<Quantizer>(s, 0, b), c1 = constant<Quantizer>(s, 1, b), c2 = constant<Quantizer>(s, 2, b);
    for (std::size_t i = 0; i < group; i += lanes) {
      hwy::Prefetch(x + i + ahead);
      put<kStream>(q.value(hn::LoadU(d, x + i), c0, c1, c2), y + i);
    }
  }
}

/// y = quantised x for `blocks` <= strip_blocks(group) blocks; y may be x. `ahead`: values after x + i that are fetched
/// while value i is at work. `index`: flat index of the first value, for the reference.
template <bool kStream, class Quantizer>
HWY_INLINE void quantize_strip(const Quantizer q, const BlockPlan& plan, const float* x, float* y, std::size_t blocks,
                               std::uint64_t index, std::size_t ahead = 0) {
  with_vectors(plan.group / hn::Lanes(D()), [&](auto vectors) HWY_ATTR {
    quantize_strip_of<kStream, vectors()>(q, plan, x, y, blocks, index, ahead);
  });
}

/// Calls use(quantizer) with the quantiser of the plan.
template <bool kAway, class Use>
HWY_INLINE void with_rounding(const BlockPlan& plan, const Use& use) {
  const Grid grid = plan.element.grid;
  switch (plan.scaler) {
    case Scaler::power_of_two:
      if (grid == Grid::floating) {
        if (plan.rule.saturates) return use(PowerFloat<kAway, true>(plan));
        return use(PowerFloat<kAway, false>(plan));
      }
      if (plan.rule.saturates) return use(PowerInteger<kAway, true>(plan));
      return use(PowerInteger<kAway, false>(plan));
    case Scaler::quotient:
      if (grid == Grid::floating) return use(QuotientFloat<false, kAway>(plan));
      if (grid == Grid::integer) return use(QuotientInteger<false, kAway>(plan));
      return use(QuotientCodebook<false>(plan));
    case Scaler::two_level:
      if (grid == Grid::floating) return use(QuotientFloat<true, kAway>(plan));
      if (grid == Grid::integer) return use(QuotientInteger<true, kAway>(plan));
      return use(QuotientCodebook<true>(plan));
    case Scaler::asymmetric:
      return use(Shifted<false, kAway>(plan));
    case Scaler::minimum:
      return use(Shifted<true, kAway>(plan));
    case Scaler::ternary:
      return;
  }
}

template <class Use>
HWY_INLINE void with_quantizer(const BlockPlan& plan, const Use& use) {
  if (plan.rounding == Rounding::rna) return with_rounding<true>(plan, use);
  return with_rounding<false>(plan, use);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
