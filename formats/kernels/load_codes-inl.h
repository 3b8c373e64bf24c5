// Vectors of left-aligned codes out of a dense bit stream. Included once per target.
#if defined(LOWBIT_KERNELS_LOAD_CODES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_LOAD_CODES_INL_H
#undef LOWBIT_KERNELS_LOAD_CODES_INL_H
#else
#define LOWBIT_KERNELS_LOAD_CODES_INL_H
#endif

#include <algorithm>

#include "formats/kernels/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

constexpr std::size_t kCodeSlack = 16;  ///< bytes behind the codes of a vector that may be read

#if !HWY_HAVE_SCALABLE && HWY_TARGET != HWY_SCALAR

/// Each lane takes the two bytes that its code lies in and shifts the code to the top.
class CodeLoader {
 public:
  /// A code begins every `stride` bits and has `bits` of them.
  CodeLoader(int stride, int bits) : bytes_(hn::Lanes(D()) * static_cast<std::size_t>(stride) / 8) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::size_t at = i * static_cast<std::size_t>(stride), first = at / 8;
      pattern_[4 * i] = pattern_[4 * i + 1] = pattern_[4 * i + 2] = static_cast<std::uint8_t>(first);
      pattern_[4 * i + 3] = static_cast<std::uint8_t>(std::min<std::size_t>(first + 1, 15));
      shift_[i] = static_cast<std::uint32_t>(16 - bits) - static_cast<std::uint32_t>(at % 8);
    }
  }
  /// Whether vectors of codes begin on whole bytes.
  static bool takes(int stride) { return hn::Lanes(D()) * static_cast<std::size_t>(stride) % 8 == 0; }
  /// Bytes from one vector to the next.
  std::size_t bytes() const { return bytes_; }
  HWY_INLINE VI operator()(const std::uint8_t* codes) const {
    const hn::Repartition<std::uint8_t, D> d8;
    const DU du;
    const auto both = hn::TableLookupBytes(hn::LoadDup128(d8, codes), hn::Load(d8, pattern_));
    return hn::BitCast(DI(), hn::Shl(hn::BitCast(du, both), hn::Load(du, shift_)));
  }

 private:
  static constexpr std::size_t kLanes = HWY_MAX_BYTES / 4;
  HWY_ALIGN std::uint8_t pattern_[HWY_MAX_BYTES];
  HWY_ALIGN std::uint32_t shift_[kLanes];
  std::size_t bytes_;
};

#else

/// Codes of one byte each.
class CodeLoader {
 public:
  CodeLoader(int, int bits) : unused_(32 - bits) {}
  static bool takes(int stride) { return stride == 8; }
  std::size_t bytes() const { return hn::Lanes(D()); }
  HWY_INLINE VI operator()(const std::uint8_t* codes) const {
    const hn::Rebind<std::uint8_t, D> d8;
    return hn::ShiftLeftSame(hn::PromoteTo(DI(), hn::LoadU(d8, codes)), unused_);
  }

 private:
  int unused_;
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
