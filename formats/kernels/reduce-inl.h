// Maxima of consecutive blocks, one a lane: a tree that merges whole vectors costs three instructions a block where a
// reduction of each block alone costs eight.
#if defined(LOWBIT_KERNELS_REDUCE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_REDUCE_INL_H
#undef LOWBIT_KERNELS_REDUCE_INL_H
#else
#define LOWBIT_KERNELS_REDUCE_INL_H
#endif

#include "formats/kernels/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

struct LargestMagnitude {
  static HWY_INLINE VI of(V x) { return magnitude_bits(x); }
  static HWY_INLINE VI merge(VI a, VI b) { return hn::Max(a, b); }
  static HWY_INLINE VI all(VI v) { return hn::MaxOfLanes(DI(), v); }
};
/// Float bits as integers in the order of the values (-0 below +0); its own inverse.
HWY_INLINE VI ordered(VI bits) {
  return hn::Xor(bits, hn::And(hn::BroadcastSignBit(bits), hn::Set(DI(), kMagnitudeMask)));
}
struct Largest {
  static HWY_INLINE VI of(V x) { return ordered(bits_of(x)); }
  static HWY_INLINE VI merge(VI a, VI b) { return hn::Max(a, b); }
  static HWY_INLINE VI all(VI v) { return hn::MaxOfLanes(DI(), v); }
};
struct Least {
  static HWY_INLINE VI of(V x) { return ordered(bits_of(x)); }
  static HWY_INLINE VI merge(VI a, VI b) { return hn::Min(a, b); }
  static HWY_INLINE VI all(VI v) { return hn::MinOfLanes(DI(), v); }
};

/// n values, a multiple of the lanes, into one vector.
template <class Op>
HWY_INLINE VI fold(const float* HWY_RESTRICT x, std::size_t n) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  VI v = Op::of(hn::LoadU(d, x));
  for (std::size_t i = lanes; i < n; i += lanes) v = Op::merge(v, Op::of(hn::LoadU(d, x + i)));
  return v;
}

#if !HWY_HAVE_SCALABLE && HWY_TARGET != HWY_SCALAR

/// Merges inside 128-bit blocks: the halves of a and b, interleaved.
template <class Op>
HWY_INLINE VI merge_pairs(VI a, VI b) {
  return Op::merge(hn::InterleaveLower(DI(), a, b), hn::InterleaveUpper(DI(), a, b));
}

/// Four blocks from `x` on; every 128-bit block of the result holds partial results of the four in order.
template <class Op>
HWY_INLINE VI fold_four(const float* HWY_RESTRICT x, std::size_t group) {
  const VI even = merge_pairs<Op>(fold<Op>(x, group), fold<Op>(x + 2 * group, group));
  const VI odd = merge_pairs<Op>(fold<Op>(x + group, group), fold<Op>(x + 3 * group, group));
  return merge_pairs<Op>(even, odd);
}

/// One lane for each of as many blocks as there are lanes, in order.
template <class Op>
HWY_INLINE VI fold_blocks(const float* HWY_RESTRICT x, std::size_t group) {
  const DI di;
  if constexpr (HWY_MAX_BYTES == 16) {
    return fold_four<Op>(x, group);
  } else {
    const auto halves = [di](VI low, VI high) HWY_ATTR {
      return Op::merge(hn::ConcatLowerLower(di, high, low), hn::ConcatUpperUpper(di, high, low));
    };
    if constexpr (HWY_MAX_BYTES == 32) {
      return halves(fold_four<Op>(x, group), fold_four<Op>(x + 4 * group, group));
    } else {
      const VI p = halves(fold_four<Op>(x, group), fold_four<Op>(x + 8 * group, group));
      const VI q = halves(fold_four<Op>(x + 4 * group, group), fold_four<Op>(x + 12 * group, group));
      return Op::merge(hn::OddEvenBlocks(q, p), hn::SwapAdjacentBlocks(hn::OddEvenBlocks(p, q)));
    }
  }
}

#else

template <class Op>
HWY_INLINE VI fold_blocks(const float* HWY_RESTRICT x, std::size_t group) {
  const DI di;
  HWY_ALIGN std::int32_t one[HWY_MAX_BYTES / 4];
  for (std::size_t b = 0; b < hn::Lanes(di); ++b) one[b] = hn::GetLane(Op::all(fold<Op>(x + b * group, group)));
  return hn::Load(di, one);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
