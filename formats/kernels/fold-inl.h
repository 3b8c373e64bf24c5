// The sum of a vector's lanes in the order of every defined sum: half the vector apart, a quarter, ...
#if defined(LOWBIT_KERNELS_FOLD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_FOLD_INL_H
#undef LOWBIT_KERNELS_FOLD_INL_H
#else
#define LOWBIT_KERNELS_FOLD_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

template <class Tag>
HWY_INLINE hwy::HWY_NAMESPACE::TFromD<Tag> fold(Tag, hwy::HWY_NAMESPACE::Vec<Tag> v) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR  // one lane, and no halves
  return hn::GetLane(v);
#else
  if constexpr (hn::MaxLanes(Tag()) == 1) {
    return hn::GetLane(v);
  } else {
    const hn::Half<Tag> half;
    return fold(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#endif
