// float16 as caches store it.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

#include "formats/codec.hpp"

namespace lowbit::kv {

/// The value of a float16; NaN and Inf included (NaN payloads shifted).
inline float half_value(std::uint16_t code) {
  const std::uint32_t magnitude = code & 0x7FFFu, sign = static_cast<std::uint32_t>(code & 0x8000u) << 16;
  // exponents are moved by a product that is exact: 2^112 times the value of the shifted bits
  float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  if (magnitude >= 0x7C00u) value = std::bit_cast<float>(0x7F800000u | (magnitude & 0x3FFu) << 13);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
}

/// Nearest float16 (ties to even; beyond the range Inf).
inline std::uint16_t half_code(float value) {
  static const Element& half = element("fp16");
  return static_cast<std::uint16_t>(encode(half, value, {Rounding::rne, Overflow::ovf}));
}

/// y(i) = half_value of n codes (unaligned), by the processor's conversion where it has one, with the same bits.
void half_values(const void* codes, std::size_t n, float* y);

}  // namespace lowbit::kv
