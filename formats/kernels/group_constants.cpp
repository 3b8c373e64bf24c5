// Scale and zero codes to the numbers that decoding multiplies by and adds.
#include <bit>
#include <cmath>
#include <cstring>

#include "formats/codec.hpp"
#include "formats/kernels/encode.hpp"

namespace lowbit::kernels {
namespace {

template <class Code>
std::uint32_t code_at(const std::uint8_t* bytes, std::size_t i) {
  Code code;
  std::memcpy(&code, bytes + i * sizeof(Code), sizeof(Code));
  return code;
}

/// Floating elements of 16 bits without a search of their table: fields placed as those of a float, times a factor.
struct Wide {
  int drop;
  std::uint32_t max_code;
  float factor;
  explicit Wide(const Element& e)
      : drop(23 - e.mantissa_bits), max_code(e.max_code()), factor(std::ldexp(1.0f, 127 - e.bias)) {}
  float operator()(const Element& e, std::uint32_t code) const {
    return code <= max_code ? std::bit_cast<float>(code << drop) * factor : decode(e, code);
  }
};

/// Calls use(i, code) for the codes of `bytes` bytes each.
template <class Use>
void for_each_code(const std::uint8_t* codes, int bytes, std::size_t n, const Use& use) {
  static_assert(std::endian::native == std::endian::little);
  for (std::size_t i = 0; bytes == 1 && i < n; ++i) use(i, codes[i]);
  for (std::size_t i = 0; bytes == 2 && i < n; ++i) use(i, code_at<std::uint16_t>(codes, i));
  for (std::size_t i = 0; bytes == 4 && i < n; ++i) use(i, code_at<std::uint32_t>(codes, i));
}

/// Values of codes of a floating element of more than 8 bits.
void wide_values(const Element& e, const std::uint8_t* codes, int bytes, std::size_t n, float* to) {
  const Wide wide(e);
  for_each_code(codes, bytes, n, [&](std::size_t i, std::uint32_t code) {
    to[i] = e.bits == 32 ? std::bit_cast<float>(code) : wide(e, code);
  });
}

}  // namespace

void group_constants(const BlockPlan& plan, const SplitParts& in, std::size_t groups, float* scale, float* offset) {
  if (plan.scale_source->bits > 8)
    wide_values(*plan.scale_source, in.scales, in.scale_bytes, groups, scale);
  else
    for_each_code(in.scales, in.scale_bytes, groups,
                  [&](std::size_t g, std::uint32_t code) { scale[g] = plan.scale_of[code & 0xff]; });
  if (in.zeros == nullptr) return;
  if (plan.scaler == Scaler::minimum) return wide_values(*plan.zero_source, in.zeros, in.zero_bytes, groups, offset);
  for_each_code(in.zeros, in.zero_bytes, groups,
                [&](std::size_t g, std::uint32_t code) { offset[g] = static_cast<float>(code); });
}

}  // namespace lowbit::kernels
