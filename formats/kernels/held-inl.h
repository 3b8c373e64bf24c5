// Vectors as members and in arrays. The vectors of SVE have no size that a compiler knows, not even where the target
// fixes their length, so that there they are kept in memory. Included once per target.
#if defined(LOWBIT_KERNELS_HELD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_HELD_INL_H
#undef LOWBIT_KERNELS_HELD_INL_H
#else
#define LOWBIT_KERNELS_HELD_INL_H
#endif

#include <hwy/highway.h>

#undef LOWBIT_SIZELESS
#define LOWBIT_SIZELESS (HWY_HAVE_SCALABLE || (HWY_TARGET & (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)) != 0)

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

#if LOWBIT_SIZELESS
/// Copied as bytes: copies that a compiler writes for a class are outside the target, and could not call what is
/// inside.
template <class Tag>
class Held {
  using Vector = hwy::HWY_NAMESPACE::Vec<Tag>;

 public:
  Held() = default;
  HWY_INLINE Held(Vector v) { *this = v; }
  HWY_INLINE Held& operator=(Vector v) {
    hwy::HWY_NAMESPACE::StoreU(v, Tag(), lanes_);
    return *this;
  }
  HWY_INLINE operator Vector() const { return hwy::HWY_NAMESPACE::LoadU(Tag(), lanes_); }

 private:
  HWY_ALIGN hwy::HWY_NAMESPACE::TFromD<Tag> lanes_[hwy::HWY_NAMESPACE::MaxLanes(Tag())];
};
#else
template <class Tag>
using Held = hwy::HWY_NAMESPACE::Vec<Tag>;
#endif

/// Lanes of vectors of T of which a compile-time number makes a row of `most` lanes: those of the target; where only
/// the machine knows how long its vectors are, the 128 bits that every machine has.
template <class T>
constexpr std::size_t fixed_lanes(std::size_t most) {
  return HWY_HAVE_SCALABLE ? 16 / sizeof(T) : most;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
