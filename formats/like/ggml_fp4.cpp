// ggml's MXFP4 and NVFP4: elements by a search for the smallest float32 error, first best, so ties go to the smaller
// magnitude; zeros are always +0.
#include <cmath>
#include <cstdint>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/ggml_block.hpp"

namespace lowbit::like {
namespace {

/// Twice the E2M1 values, in the order of the codes; the table is int8, so code 8 is +0.
constexpr float kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

std::uint8_t best_code(float x, float half_scale) {
  std::uint8_t best = 0;
  float least = std::abs(kDoubled[0] * half_scale - x);
  for (std::uint8_t code = 1; code < 16; ++code) {
    const float error = std::abs(kDoubled[code] * half_scale - x);
    if (!(error < least)) continue;
    best = code;
    least = error;
  }
  return best;
}

void quantize_all(std::span<const float> x, float half_scale, std::uint8_t* codes) {
  for (std::size_t i = 0; i < x.size(); ++i) codes[i] = best_code(x[i], half_scale);
}

void dequantize_all(std::span<const std::uint8_t> codes, float half_scale, float* y) {
  for (std::size_t i = 0; i < codes.size(); ++i) y[i] = kDoubled[codes[i] & 0xF] * half_scale;
}

/// max |x|, values that are NaN left out.
float amax_without_nan(std::span<const float> x) {
  float amax = 0;
  for (const float v : x) {
    if (amax < std::abs(v)) amax = std::abs(v);
  }
  return amax;
}

/// 2^(code - 128), also for code 255.
float half_of_e8m0(std::uint32_t code) {
  return std::ldexp(1.0f, static_cast<int>(code) - 128);
}

/// Half of a UE4M3 value; 0 for the NaN code.
float half_of_ue4m3(std::uint32_t code) {
  return code == 0x7F ? 0.0f : lowbit::decode(element("ue4m3"), code) * 0.5f;
}

/// ggml_fp32_to_ue4m3: ties up; from 248 on the code of 448; subnormals by trunc(512 x + 1/2), at most 7.
std::uint32_t ue4m3_of(float x) {
  constexpr std::uint32_t kMaxCode = 0x7E;
  if (!(x > 0)) return 0;
  if (x >= 248) return kMaxCode;
  if (x < 0x1p-6f) {
    const int steps = static_cast<int>(x * 512.0f + 0.5f);
    return static_cast<std::uint32_t>(steps > 7 ? 7 : steps);
  }
  const int exponent = std::ilogb(x);
  const int eighths = static_cast<int>(std::floor(std::ldexp(x, 3 - exponent) + 0.5f));  // 8..16, halves up
  return static_cast<std::uint32_t>((exponent + 7) * 8 + eighths - 8);
}

}  // namespace

/// e = floor(log2f(amax)) - 2 by the float32 logarithm. Below 2^-125 and for Inf C leaves the byte open: here, as on
/// x86-64, the low byte of the 32-bit conversion.
void ggml_quantize_mxfp4(const Format&, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const float amax = amax_without_nan(x);
  group.scale = 0;
  if (amax > 0 && std::isfinite(amax))
    group.scale = static_cast<std::uint8_t>(static_cast<int>(floor_log2f(amax)) + 125);
  quantize_all(x, half_of_e8m0(group.scale), codes);
}

void ggml_dequantize_mxfp4(const Format&, float, std::span<const std::uint8_t> codes, GroupCodes group, float* y) {
  dequantize_all(codes, half_of_e8m0(group.scale), y);
}

void ggml_quantize_nvfp4(const Format&, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  group.scale = ue4m3_of(amax_without_nan(x) / 6.0f);
  quantize_all(x, half_of_ue4m3(group.scale), codes);
}

void ggml_dequantize_nvfp4(const Format&, float, std::span<const std::uint8_t> codes, GroupCodes group, float* y) {
  dequantize_all(codes, half_of_ue4m3(group.scale), y);
}

}  // namespace lowbit::like
