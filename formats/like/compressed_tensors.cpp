// compressed-tensors (llm-compressor, vLLM): its MX, NVFP4 and integer schemes, computed in float32.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"
#include "formats/like/options.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 18> kFormats = {"mxfp4:rule=even",
                                                       "mxfp6_e2m3:rule=even",
                                                       "mxfp8_e4m3:rule=even",
                                                       "nvfp4",
                                                       "int2:g32:s=fp32:range=half",
                                                       "int3:g32:s=fp32:range=half",
                                                       "int4:g32:s=fp32:range=half",
                                                       "int5:g32:s=fp32:range=half",
                                                       "int6:g32:s=fp32:range=half",
                                                       "int7:g32:s=fp32:range=half",
                                                       "int8:g32:s=fp32:range=half",
                                                       "int2:g32:s=fp32:asym",
                                                       "int3:g32:s=fp32:asym",
                                                       "int4:g32:s=fp32:asym",
                                                       "int5:g32:s=fp32:asym",
                                                       "int6:g32:s=fp32:asym",
                                                       "int7:g32:s=fp32:asym",
                                                       "int8:g32:s=fp32:asym"};
constexpr float kEps = 0x1p-23f;         // stands for an integer scale of 0
constexpr float kSmallestCode = 0.125f;  // stands for an NVFP4 block scale of 0

/// What calculate_qparams makes of a group. Integers keep the scale itself, floats its code.
struct Parameters {
  std::uint32_t code = 0;
  float scale = 1;       ///< divides the values
  float zero_point = 0;  ///< added to the quotients
};

struct Extremes {
  float low = 0, high = 0;  ///< 0 lies between them; both NaN if a value is
};

Extremes extremes_of(std::span<const float> x) {
  Extremes e;
  for (const float v : x) {
    if (std::isnan(v)) return {v, v};
    e.low = std::min(e.low, v);
    e.high = std::max(e.high, v);
  }
  return e;
}

float largest(const Extremes& e) {
  return std::isnan(e.low) ? e.low : std::max(std::abs(e.low), e.high);
}

/// The maximum is rounded to the element's mantissa (E4M3: to that of E2M1, all the same), its exponent taken by a log2
/// of the power of two; what rounds to Inf, and NaN, has code 255 and the scale 2^128 = Inf.
Parameters mx_parameters(const Format& format, const Extremes& extremes) {
  const int mantissa_bits = format.element->bits == 6 ? 3 : 1;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(largest(extremes)) + (1u << (22 - mantissa_bits));
  const int exponent = static_cast<int>(bits >> 23);
  if (exponent >= 255) return {255, HUGE_VALF, 0};
  const int code = std::max(exponent == 0 ? 0 : exponent - format.element->emax(), 0);
  return {static_cast<std::uint32_t>(code), std::ldexp(1.0f, code - 127), 0};
}

float clamp(float x, float low, float high) {
  return x < low ? low : x > high ? high : x;
}

Parameters nvfp4_parameters(const Format& format, float global_scale, const Extremes& extremes) {
  const float wanted = clamp(global_scale * (largest(extremes) / 6.0f), -448.0f, 448.0f);
  const Element& scales = *format.scale_element;
  std::uint32_t code = std::isnan(wanted) ? 0x7F : lowbit::encode(scales, wanted);
  if (code == 0) code = lowbit::encode(scales, kSmallestCode);
  return {code, (code == 0x7F ? canonical_nan() : lowbit::decode(scales, code)) / global_scale, 0};
}

Parameters integer_parameters(const Format& format, const Extremes& extremes) {
  const float steps = static_cast<float>((1 << format.element->bits) - 1);
  const float lowest = -static_cast<float>(1 << (format.element->bits - 1));
  Parameters p;
  if (format.zero_point == ZeroPoint::none) {
    p.scale = largest(extremes) / (steps / 2);
  } else {
    p.scale = (extremes.high - extremes.low) / steps;
    const float zero = clamp(lowest - extremes.low / p.scale, lowest, -lowest - 1);
    // An integer, so no -0. 0/0 of an all-zero group is a NaN, which x86 converts to 0.
    p.zero_point = std::isnan(zero) ? 0.0f : std::nearbyint(zero) + 0.0f;
  }
  if (p.scale == 0) p.scale = kEps;
  p.code = std::bit_cast<std::uint32_t>(p.scale);
  return p;
}

Parameters parameters_of(const Format& format, float tensor_scale, std::span<const float> x) {
  const Extremes extremes = extremes_of(x);
  if (format.element->is_integer()) return integer_parameters(format, extremes);
  if (format.scale_element->is_float()) return nvfp4_parameters(format, tensor_scale, extremes);
  return mx_parameters(format, extremes);
}

/// fl(1/max(A, 2^-126)) * 2688; 1 where that is not finite.
float global_scale_of(const Format&, float amax) {
  const float scale = 2688.0f * (1.0f / std::max(amax, 0x1p-126f));
  return std::isnan(amax) || std::isinf(scale) ? 1.0f : scale;
}

/// The quotient cut to the element's range and rounded; -0 stays for what the elements keep it for.
float round_scaled(const Format& format, float scaled) {
  const Element& element = *format.element;
  if (element.is_integer()) {
    const float lowest = -static_cast<float>(1 << (element.bits - 1));
    return std::nearbyint(clamp(scaled, lowest, -lowest - 1));
  }
  const float rounded = std::isnan(scaled) ? scaled : lowbit::round_to(element, scaled);
  // E2M1 is multiplied by the sign of the quotient, which is 0 for -0.
  return element.bits == 4 && scaled == 0 ? 0.0f : rounded;
}

void fake_group(const Format& format, float tensor_amax, std::span<const float> x, float* y) {
  const float global_scale = format.second_level == SecondLevel::none ? 1.0f : global_scale_of(format, tensor_amax);
  const Parameters p = parameters_of(format, global_scale, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float scaled = x[i] / p.scale + p.zero_point;  // a zero point of zero turns -0 into +0
    const float value = (round_scaled(format, scaled) - p.zero_point) * p.scale;
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

void quantize(const Format& format, float tensor_scale, std::span<const float> x, std::uint8_t* codes,
              GroupCodes& group) {
  const Element& element = *format.element;
  const Parameters p = parameters_of(format, tensor_scale, x);
  group.scale = p.code;
  group.zero_point = static_cast<std::uint32_t>(static_cast<std::int32_t>(p.zero_point));
  const bool adds_zero_point = element.is_integer() || element.bits == 8;  // the FP4 and FP6 packers have none
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float quotient = x[i] / p.scale;
    const float rounded = round_scaled(format, adds_zero_point ? quotient + p.zero_point : quotient);
    if (element.is_integer()) {
      const int code = std::isnan(rounded) ? 0 : static_cast<int>(rounded);
      codes[i] = static_cast<std::uint8_t>(code);
    } else {
      codes[i] = static_cast<std::uint8_t>(std::isnan(rounded) ? element.nan_code() : lowbit::encode(element, rounded));
    }
  }
}

float scale_of(const Format& format, float tensor_scale, std::uint32_t code) {
  if (format.element->is_integer()) return std::bit_cast<float>(code);
  if (format.scale_element->is_float())
    return (code == 0x7F ? canonical_nan() : lowbit::decode(*format.scale_element, code)) / tensor_scale;
  return std::ldexp(1.0f, static_cast<int>(code) - 127);
}

void dequantize(const Format& format, float tensor_scale, std::span<const std::uint8_t> codes, GroupCodes group,
                float* y) {
  const Element& element = *format.element;
  const float scale = scale_of(format, tensor_scale, group.scale);
  const float zero_point = static_cast<float>(static_cast<std::int32_t>(group.zero_point));
  const bool subtracts = element.is_integer() || element.bits == 8;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float e = lowbit::decode(element, codes[i] & (element.code_count() - 1));
    const float value = (subtracts ? e - zero_point : e) * scale;
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

void resolve(Format& format, std::span<const std::string> given) {
  const bool integer = format.element->is_integer();
  if (format.scale_element && !integer && !format.scale_element->is_float() && !is_given(given, "rule"))
    format.rule = ScaleRule::even;
  if (format.scale_element && integer && format.is_block()) {
    if (!is_given(given, "s")) format.scale_element = &element("fp32");
    if (format.zero_point == ZeroPoint::none && !is_given(given, "range") && !is_given(given, "full"))
      format.range = IntegerRange::half;
  }
  require_one_of(format, format.like, kFormats, integer ? kOpenGroup : kOpenNothing,
                 "; integers with any gN, channel or tensor");
}

constexpr Pipeline kCompressedTensorsPipeline{global_scale_of, quantize, dequantize};

}  // namespace

extern const Implementation kCompressedTensors;
const Implementation kCompressedTensors{
    "compressed_tensors",
    "MX, NVFP4 and integer schemes of compressed-tensors (llm-compressor, vLLM), float32",
    "PyPI compressed-tensors 0.20.0; checked against the running code (torch 2.15.0)",
    kFormats,
    resolve,
    fake_with<fake_group>,
    encode_with<kCompressedTensorsPipeline>,
    decode_with<kCompressedTensorsPipeline>};

}  // namespace lowbit::like
