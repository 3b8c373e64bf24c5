// Codes as Quantized keeps them: little-endian bytes, integers in two's complement of the whole width.
#pragma once
#include <cstdint>
#include <vector>

#include "formats/format.hpp"

namespace lowbit {

inline int bytes_per_code(const Element& element) {
  return element.bits <= 8 ? 1 : element.bits <= 16 ? 2 : 4;
}

inline std::uint32_t code_mask(const Element& element) {
  return element.bits >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << element.bits) - 1;
}

/// Signed integers are sign-extended; codes under asym and min are unsigned, those of other elements are no numbers.
inline std::uint32_t stored_code(const Format& format, std::uint32_t code) {
  if (!format.element->is_integer() || format.zero_point != ZeroPoint::none) return code;
  const std::uint32_t sign = 1u << (format.element->bits - 1);
  return ((code & (2 * sign - 1)) ^ sign) - sign;
}

inline void put_code(std::uint8_t* bytes, int width, std::uint32_t code) {
  for (int b = 0; b < width; ++b) bytes[b] = static_cast<std::uint8_t>(code >> (8 * b));
}

inline std::uint32_t get_code(const std::uint8_t* bytes, int width) {
  std::uint32_t code = 0;
  for (int b = 0; b < width; ++b) code |= static_cast<std::uint32_t>(bytes[b]) << (8 * b);
  return code;
}

}  // namespace lowbit
