// Coders and decoders of ggml's linear block types. Where the C code converts a float that the integer type cannot hold
// (NaN, an overflowing 1/d), which C leaves open, this does what x86-64 does: 32 bits with the top one set, then the
// low ones.
#include <cfloat>
#include <cmath>
#include <cstdint>

#include "formats/codec.hpp"
#include "formats/like/ggml_block.hpp"

namespace lowbit::like {
namespace {

constexpr Conversion kToFp16{Rounding::rne, Overflow::ovf};

std::uint32_t fp16_bits(float x) {
  return lowbit::encode(element("fp16"), x, kToFp16);
}
float from_fp16(std::uint32_t bits) {
  return lowbit::decode(element("fp16"), bits);
}

std::int32_t to_int32(float x) {
  return x >= -0x1p31f && x < 0x1p31f ? static_cast<std::int32_t>(x) : INT32_MIN;
}

float inverse(float d) {
  return d != 0 ? 1.0f / d : 0.0f;
}

/// The maximum of Q8_0 and TQ: MAX(amax, |v|) of the C macro, which starts again after a NaN.
float restarting_amax(std::span<const float> x) {
  float amax = 0;
  for (const float v : x) amax = amax > std::abs(v) ? amax : std::abs(v);
  return amax;
}

std::uint8_t low_bits(int value, int bits) {
  return static_cast<std::uint8_t>(value & ((1 << bits) - 1));
}

}  // namespace

/// Q4_0, Q5_0: d = the first value of largest magnitude over -2^(b-1), code = trunc(x / d + 2^(b-1) + 0.5).
void ggml_quantize_signed(const Format& format, float, std::span<const float> x, std::uint8_t* codes,
                          GroupCodes& group) {
  float extreme = 0;
  for (const float v : x) {
    if (std::abs(extreme) < std::abs(v)) extreme = v;
  }
  const int half = 1 << (format.element->bits - 1);
  const float d = extreme / static_cast<float>(-half), multiplier = inverse(d);
  group.scale = fp16_bits(d);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto code = static_cast<std::int8_t>(to_int32(x[i] * multiplier + (static_cast<float>(half) + 0.5f)));
    const int stored = code < 2 * half - 1 ? code : 2 * half - 1;
    codes[i] = static_cast<std::uint8_t>(low_bits(stored, format.element->bits) - half);
  }
}

/// Q4_1, Q5_1: d = (max - min) / (2^b - 1), m = min, code = trunc((x - m) / d + 0.5).
void ggml_quantize_minimum(const Format& format, float, std::span<const float> x, std::uint8_t* codes,
                           GroupCodes& group) {
  float min = FLT_MAX, max = -FLT_MAX;
  for (const float v : x) {
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const int largest = (1 << format.element->bits) - 1;
  const float d = (max - min) / static_cast<float>(largest), multiplier = inverse(d);
  group = {fp16_bits(d), fp16_bits(min)};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto code = static_cast<std::int8_t>(to_int32((x[i] - min) * multiplier + 0.5f));
    codes[i] = low_bits(code < largest ? code : largest, format.element->bits);
  }
}

/// Reference of Q8_0: halves away from zero.
void ggml_quantize_q8_0(const Format&, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const float d = restarting_amax(x) / 127, multiplier = inverse(d);
  group.scale = fp16_bits(d);
  for (std::size_t i = 0; i < x.size(); ++i) {
    codes[i] = static_cast<std::uint8_t>(to_int32(std::round(x[i] * multiplier)));
  }
}

namespace {

/// vmaxps: the second operand unless the first is larger, so a NaN on the left is dropped and one on the right stays.
float max_ps(float a, float b) {
  return a > b ? a : b;
}

/// The maximum as the vector code folds it: eight lanes of every eighth value, then halves.
float amax_avx(std::span<const float> x) {
  float lane[8];
  for (std::size_t j = 0; j < 8; ++j) {
    lane[j] = std::abs(x[j]);
    for (std::size_t i = j + 8; i < x.size(); i += 8) lane[j] = max_ps(lane[j], std::abs(x[i]));
  }
  for (std::size_t j = 0; j < 4; ++j) lane[j] = max_ps(lane[j + 4], lane[j]);
  return max_ps(max_ps(lane[0], lane[2]), max_ps(lane[1], lane[3]));
}

/// vcvtps2dq and two saturating packs: out of range and NaN become -128.
std::int8_t to_int8_avx(float rounded) {
  const std::int32_t wide = to_int32(rounded);
  return static_cast<std::int8_t>(wide < -128 ? -128 : wide > 127 ? 127 : wide);
}

}  // namespace

/// Row function of Q8_0 with AVX or AVX2: multiplier 127 / amax, halves to even.
void ggml_quantize_q8_0_avx(const Format&, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const float amax = amax_avx(x);
  const float multiplier = amax != 0 ? 127.0f / amax : 0.0f;
  group.scale = fp16_bits(amax / 127.0f);
  for (std::size_t i = 0; i < x.size(); ++i) {
    codes[i] = static_cast<std::uint8_t>(to_int8_avx(std::nearbyint(x[i] * multiplier)));
  }
}

/// TQ2_0: d = amax, code = value + 1, halves away from zero.
void ggml_quantize_ternary(const Format&, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const float d = restarting_amax(x), multiplier = inverse(d);
  group.scale = fp16_bits(d);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float product = x[i] * multiplier;
    const int value = std::isfinite(product) ? static_cast<int>(std::round(product)) : 0;  // lroundf: low bits of 2^63
    codes[i] = static_cast<std::uint8_t>((value + 1) & 3);
  }
}

void ggml_dequantize_linear(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group,
                            float* y) {
  const float d = from_fp16(group.scale);
  const bool has_minimum = format.zero_point == ZeroPoint::minimum;
  const float m = has_minimum ? from_fp16(group.zero_point) : 0.0f;
  const int offset = format.element->is_integer() ? 0 : 1;  // ternary
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const int code = has_minimum || offset ? codes[i] : static_cast<std::int8_t>(codes[i]);
    const float value = static_cast<float>(code - offset) * d;
    const float sum = has_minimum ? value + m : value;
    y[i] = std::isnan(sum) ? canonical_nan() : sum;
  }
}

}  // namespace lowbit::like
