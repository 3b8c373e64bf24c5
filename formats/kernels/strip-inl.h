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
#include "formats/kernels/sink-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Values of a strip: 4 KiB. Measuring a strip leaves the memory idle, so it must be over before what has been asked
/// for meanwhile has come; and a strip, its results and what is fetched ahead share a first-level cache.
constexpr std::size_t kStripValues = 1024;
constexpr std::size_t kStripAhead = 1024;  ///< values that are fetched before a strip needs them
constexpr std::size_t kStripBlocks = 512;

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

/// Values of one block, from its constants.
template <bool kRandom, int kVectors, class Quantizer, class Sink>
HWY_INLINE void quantize_block(const Quantizer q, const Strip& s, std::size_t b, const float* x, Sink sink,
                               std::size_t any_group, const std::uint32_t* word, std::size_t ahead) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), group = kVectors == 0 ? any_group : kVectors * lanes;
  const V c0 = constant<Quantizer>(s, 0, b), c1 = constant<Quantizer>(s, 1, b), c2 = constant<Quantizer>(s, 2, b);
  const auto one = [&](std::size_t i) LOWBIT_INLINE_LAMBDA {
    if constexpr (!kRandom) hwy::Prefetch(x + i + ahead);  // else done while words are drawn
    sink.at(i).template put<kRandom>(q, hn::LoadU(d, x + i), c0, c1, c2, word + (kRandom ? i : 0));
  };
  if constexpr (kVectors == 0) {
    for (std::size_t i = 0; i < group; i += lanes) one(i);
  } else {
    one(0);
    if constexpr (kVectors > 1) one(lanes);
    if constexpr (kVectors > 2) one(2 * lanes), one(3 * lanes);
  }
}

/// Unusual(block): what the reference does with block number `block` of the strip.
template <bool kRandom, int kVectors, class Quantizer, class Sink, class Unusual>
HWY_INLINE void strip_of(const Quantizer q, const BlockPlan& plan, const float* x, Sink sink, std::size_t blocks,
                         std::uint64_t index, std::size_t ahead, Strip& s, const Unusual& unusual) {
  const std::size_t lanes = hn::Lanes(D()), group = kVectors == 0 ? plan.group : kVectors * lanes;
  const bool ordinary = measure_and_prepare<kVectors>(q, x, group, blocks, s);
  Words words;
  if constexpr (kRandom) WordSource(plan.seed, plan.stream_number).fill(index, blocks * group, words, x + ahead);
  const auto word = [&](std::size_t b) { return kRandom ? words.first + b * group : nullptr; };
  if (HWY_LIKELY(ordinary)) {
    for (std::size_t b = 0; b < blocks; ++b)
      quantize_block<kRandom, kVectors>(q, s, b, x + b * group, sink.at(b * group), group, word(b), ahead);
    return;
  }
  for (std::size_t b = 0; b < blocks; ++b) {
    if (s.flags[b] == kZero)
      sink.at(b * group).zeros(group, plan.zero_code);
    else if (s.flags[b] == kUnusual)
      unusual(b);
    else
      quantize_block<kRandom, 0>(q, s, b, x + b * group, sink.at(b * group), group, word(b), ahead);
  }
}

/// As quantize_strip, into any sink.
template <class Quantizer, class Sink, class Unusual>
HWY_INLINE void run_strip(const Quantizer q, const BlockPlan& plan, const float* x, Sink sink, std::size_t blocks,
                          std::uint64_t index, std::size_t ahead, Strip& s, const Unusual& unusual) {
  if constexpr (Quantizer::kDraws) {
    if (plan.rounding == Rounding::sr) return strip_of<true, 0>(q, plan, x, sink, blocks, index, ahead, s, unusual);
  }
  // the rarer rounding is not worth its own loops
  if constexpr (Quantizer::kAwayFromZero) {
    strip_of<false, 0>(q, plan, x, sink, blocks, index, ahead, s, unusual);
  } else {
    with_vectors(plan.group / hn::Lanes(D()), [&](auto vectors) HWY_ATTR {
      strip_of<false, vectors()>(q, plan, x, sink, blocks, index, ahead, s, unusual);
    });
  }
}

/// y = quantised x for `blocks` <= strip_blocks(group) blocks; y may be x. `ahead`: values after x + i that are fetched
/// while value i is at work. `index`: flat index of the first value, for stochastic rounding.
template <bool kStream, class Quantizer>
HWY_INLINE void quantize_strip(const Quantizer q, const BlockPlan& plan, const float* x, float* y, std::size_t blocks,
                               std::uint64_t index, std::size_t ahead = 0) {
  Strip s;
  const std::size_t group = plan.group;
  run_strip(q, plan, x, ValueSink<kStream>{y}, blocks, index, ahead, s,
            [&](std::size_t b) { reference_group(plan, x + b * group, y + b * group, group, index + b * group); });
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

/// Nothing on the targets that emulate vectors, which dispatch.cpp never chooses.
template <class Use>
HWY_INLINE void with_quantizer(const BlockPlan& plan, const Use& use) {
  if constexpr (!kEmulated) {
    if (plan.rounding == Rounding::rna) return with_rounding<true>(plan, use);
    return with_rounding<false>(plan, use);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
