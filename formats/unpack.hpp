// A finite float or double as an integer times a power of two: what the exact routines compute with.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

namespace lowbit {

enum class FloatClass { zero, finite, infinite, nan };

/// |x| = significand * 2^exponent for finite x; the significand has at most 53 bits and is not normalised.
struct Unpacked {
  FloatClass kind;
  bool negative;
  std::uint64_t significand;
  int exponent;
  int log2;  ///< floor(log2 |x|), from the bits
};

template <class Float>
inline Unpacked unpack(Float x) {
  static_assert(std::is_same_v<Float, float> || std::is_same_v<Float, double>);
  using Bits = std::conditional_t<std::is_same_v<Float, float>, std::uint32_t, std::uint64_t>;
  constexpr int kMantissa = std::is_same_v<Float, float> ? 23 : 52;
  constexpr int kBias = std::is_same_v<Float, float> ? 127 : 1023;
  constexpr Bits kFieldMask = 2 * kBias + 1;
  const Bits bits = std::bit_cast<Bits>(x);
  const bool negative = bits >> (sizeof(Bits) * 8 - 1);
  const Bits mantissa = bits & ((Bits{1} << kMantissa) - 1);
  const int field = static_cast<int>((bits >> kMantissa) & kFieldMask);
  if (field == static_cast<int>(kFieldMask)) {
    return {mantissa ? FloatClass::nan : FloatClass::infinite, negative, 0, 0, 0};
  }
  const int last = (field == 0 ? 1 : field) - kBias - kMantissa;  // exponent of the last place
  if (field != 0) return {FloatClass::finite, negative, mantissa | (Bits{1} << kMantissa), last, last + kMantissa};
  return {mantissa ? FloatClass::finite : FloatClass::zero, negative, mantissa, last,
          last + static_cast<int>(std::bit_width(mantissa)) - 1};
}

/// 2^exponent as a float: exact for -149..127, subnormals included.
inline float pow2f(int exponent) {
  return std::bit_cast<float>(exponent >= -126 ? static_cast<std::uint32_t>(exponent + 127) << 23
                                               : std::uint32_t{1} << (exponent + 149));
}

}  // namespace lowbit
