// torchao's prototype MX and NVFP4 tensors: the source at 36027d8 and the release 0.18.0, whose edges differ.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/codec.hpp"
#include "formats/error.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 6> kFormats = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3",
                                                      "mxfp6_e3m2", "mxfp4",      "nvfp4"};
constexpr std::uint32_t kNanScale = 0xFF;
constexpr float kSmallestBlockScale = 0x1p-6f;                              // E4M3_EPS: no subnormal block scales
constexpr std::uint32_t kQuietNan = 0x7FC00000, kNegativeNan = 0xFFC00000;  // the second is what x86 makes of 0/0
constexpr std::uint32_t kE4m3Nan = 0x7FF00000;  // float32 of an E4M3 NaN: its mantissa bits are set
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::uint32_t bits_of(float x) {
  return std::bit_cast<std::uint32_t>(x);
}

/// What the casts make of a NaN: FP8 has a NaN code; the integer rounding of FP4 and FP6 takes the bits for a number.
std::uint32_t nan_code(const Element& element, std::uint32_t nan = kQuietNan) {
  const std::uint32_t sign = nan >> 31 << (element.bits - 1);
  if (element.bits == 8) return 0x7F | sign;
  const std::uint32_t magnitude = nan & 0x7FFFFFFF;
  const int dropped = 23 - element.mantissa_bits;
  const std::uint32_t odd = magnitude >> dropped & 1;
  const std::uint32_t rebias = static_cast<std::uint32_t>(127 - element.bias) << 23;
  const std::uint32_t rounded = magnitude - rebias + ((1u << (dropped - 1)) - 1) + odd;
  return (rounded >> dropped & 0xFF) | sign;
}

std::uint32_t cast(const Element& element, float x) {
  return std::isnan(x) ? nan_code(element, bits_of(x)) : lowbit::encode(element, x);
}

/// Exponent of floor, ceil_pow2 and even, from the bits; an FP32 subnormal counts as 2^-127.
int shared_exponent(const Format& format, float amax) {
  std::uint32_t bits = bits_of(amax);
  if (format.rule == ScaleRule::even) bits += 1u << (22 - format.element->mantissa_bits);
  int exponent = static_cast<int>(bits >> 23) - 127;
  if (format.rule == ScaleRule::ceil_pow2 && (bits & 0x7FFFFF) != 0) ++exponent;
  return std::clamp(exponent - format.element->emax(), -127, 128);
}

/// even rounds the largest floats up to Inf, which poisons the block in 36027d8.
bool rounds_to_infinity(const Format& format, float amax) {
  return format.rule == ScaleRule::even && bits_of(amax) + (1u << (22 - format.element->mantissa_bits)) >= 0x7F800000u;
}

// ---- 36027d8 ----

std::uint32_t mx_scale(const Format& format, float amax) {
  if (!std::isfinite(amax) || rounds_to_infinity(format, amax)) return kNanScale;
  if (format.rule != ScaleRule::ceil) return static_cast<std::uint32_t>(shared_exponent(format, amax) + 127);
  const float ratio = amax * static_cast<float>(1.0 / format.element->max());
  const std::uint32_t exponent = bits_of(ratio) >> 23, mantissa = bits_of(ratio) & 0x7FFFFF;
  return exponent + (exponent == 0 ? mantissa > 0x400000 : mantissa != 0);
}

void quantize_mx(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const Element& element = *format.element;
  group.scale = mx_scale(format, amax_or_nan(x));
  const float inverse = std::ldexp(1.0f, 127 - static_cast<int>(group.scale));
  for (std::size_t i = 0; i < x.size(); ++i)
    codes[i] = static_cast<std::uint8_t>(group.scale == kNanScale ? nan_code(element) : cast(element, x[i] * inverse));
}

void dequantize_mx(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group, float* y) {
  const float scale = group.scale == kNanScale ? kNan : std::ldexp(1.0f, static_cast<int>(group.scale) - 127);
  for (std::size_t i = 0; i < codes.size(); ++i)
    y[i] = lowbit::decode(*format.element, codes[i] & (format.element->code_count() - 1)) * scale;
}

// ---- 0.18.0 ----

/// ceil of the float log2, which rounds to k just above 2^k.
std::uint32_t mx_ceil_scale_0_18(float ratio) {
  if (std::isnan(ratio)) return kNanScale;
  if (std::isinf(ratio)) return 254;
  return static_cast<std::uint32_t>(std::clamp(ceil_log2f(ratio), -127.0f, 127.0f) + 127.0f);
}

/// rceil multiplies by a reciprocal that is 1 for code 0, and cuts to the largest value.
void quantize_mx_ceil_0_18(const Format& format, float amax, std::span<const float> x, std::uint8_t* codes,
                           GroupCodes& group) {
  const Element& element = *format.element;
  group.scale = mx_ceil_scale_0_18(amax / static_cast<float>(element.max()));
  const float inverse = group.scale == 0 ? 1.0f : std::ldexp(1.0f, 127 - static_cast<int>(group.scale));
  for (std::size_t i = 0; i < x.size(); ++i)
    codes[i] = static_cast<std::uint8_t>(group.scale == kNanScale ? nan_code(element) : cast(element, x[i] * inverse));
}

/// The others divide by a scale of at least 2^-126, which is Inf where the code says NaN.
void quantize_mx_0_18(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const float amax = amax_or_nan(x);
  if (format.rule == ScaleRule::ceil) return quantize_mx_ceil_0_18(format, amax, x, codes, group);
  group.scale = std::isnan(amax) ? kNanScale : static_cast<std::uint32_t>(shared_exponent(format, amax) + 127);
  const float scale = std::max(std::bit_cast<float>(group.scale << 23), 0x1p-126f);
  for (std::size_t i = 0; i < x.size(); ++i) codes[i] = static_cast<std::uint8_t>(cast(*format.element, x[i] / scale));
}

// ---- NVFP4, the same in both ----

void quantize_nvfp4(const Format& format, float tensor_scale, std::span<const float> x, std::uint8_t* codes,
                    GroupCodes& group) {
  const bool two_level = format.second_level == SecondLevel::fp32;
  const float amax = amax_or_nan(x);
  const float wanted = two_level ? amax / 6.0f / tensor_scale : amax / 6.0f;
  if (std::isnan(wanted)) {
    // A NaN that came in is positive, one that 0/0 or Inf/Inf made is negative; the reciprocal has the bits of the
    // first NaN on its way, that of the tensor or that of the E4M3 scale.
    const bool came_in = std::isnan(amax) || std::isnan(tensor_scale);
    group.scale = came_in ? 0x7F : 0xFF;
    const std::uint32_t nan = std::isnan(tensor_scale) ? kQuietNan : came_in ? kE4m3Nan : kE4m3Nan | 0x80000000;
    std::fill_n(codes, x.size(), static_cast<std::uint8_t>(nan_code(*format.element, nan)));
    return;
  }
  group.scale = lowbit::encode(*format.scale_element, std::clamp(wanted, kSmallestBlockScale, 448.0f));
  const float scale = lowbit::decode(*format.scale_element, group.scale);
  const float reciprocal = two_level ? 1.0f / tensor_scale / scale : 1.0f / scale;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float product = x[i] * reciprocal;  // 0 * Inf under a tiny tensor scale is a NaN
    codes[i] = static_cast<std::uint8_t>(std::isnan(product) ? nan_code(*format.element, kNegativeNan)
                                                             : lowbit::encode(*format.element, product));
  }
}

void dequantize_nvfp4(const Format& format, float tensor_scale, std::span<const std::uint8_t> codes, GroupCodes group,
                      float* y) {
  const float block_scale = (group.scale & 0x7F) == 0x7F ? kNan : lowbit::decode(*format.scale_element, group.scale);
  const float scale = format.second_level == SecondLevel::fp32 ? tensor_scale * block_scale : block_scale;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float value = lowbit::decode(*format.element, codes[i] & (format.element->code_count() - 1)) * scale;
    y[i] = std::isnan(value) ? kNan : value;
  }
}

float nvfp4_tensor_scale(const Format&, float amax) {
  return amax / 2688.0f;
}

constexpr Pipeline kMx{nullptr, quantize_mx, dequantize_mx};
constexpr Pipeline kMx018{nullptr, quantize_mx_0_18, dequantize_mx};
constexpr Pipeline kNvfp4{nvfp4_tensor_scale, quantize_nvfp4, dequantize_nvfp4};

const Pipeline& pipeline(const Format& format) {
  if (format.scale_element->is_float()) return kNvfp4;
  return format.like == "torchao" ? kMx : kMx018;
}

void resolve(Format& format, std::span<const std::string>) {
  constexpr std::string_view kRules =
      "; rule=floor (default), ceil_pow2 (its ceil), even, ceil (its rceil); nvfp4 also with ts=none";
  const bool mx = format.scale_element != nullptr && format.scale_element->kind == ElementKind::exponent;
  const bool known_rule = format.rule == ScaleRule::floor || format.rule == ScaleRule::ceil ||
                          format.rule == ScaleRule::ceil_pow2 || format.rule == ScaleRule::even;
  const bool two_level = !mx && format.second_level != SecondLevel::e8m0;
  require_one_of(format, format.like, kFormats,
                 (mx && known_rule ? kOpenRule : 0u) | (two_level ? kOpenSecondLevel : 0u), kRules);
}

void fake_values(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  fake(pipeline(format), format, layout, x, y, context);
}
Quantized encode_values(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  return encode(pipeline(format), format, layout, x, context);
}
void decode_values(const Quantized& quantized, float* y) {
  decode(pipeline(quantized.format), quantized, y);
}

}  // namespace

extern const Implementation kTorchao;
extern const Implementation kTorchao018;

const Implementation kTorchao{
    "torchao",
    "prototype MX and NVFP4 tensors of torchao, CPU emulation",
    "github.com/pytorch/ao 36027d8, prototype/mx_formats; checked against the running code (torch 2.15.0)",
    kFormats,
    resolve,
    fake_values,
    encode_values,
    decode_values};

const Implementation kTorchao018{
    "torchao_0_18",
    "the same of the release 0.18.0: E8M0 code 0, Inf and NaN differ",
    "PyPI torchao 0.18.0, prototype/mx_formats; checked against the running code (torch 2.15.0)",
    kFormats,
    resolve,
    fake_values,
    encode_values,
    decode_values};

}  // namespace lowbit::like
