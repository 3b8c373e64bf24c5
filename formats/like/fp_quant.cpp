// like=fp_quant, fp_quant_ste: the Quantizer class of IST-DASLab/FP-Quant with its min-max observer on float32 tensors.
// Where it raises (a NaN, an all-zero or infinite tensor under nvfp4) its arithmetic is simply carried on here.
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
#include "formats/like/options.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 6> kFormats = {
    "mxfp4", "nvfp4", "e2m1:g32", "int4:g32:range=half", "int8:g128:range=half", "int4:g128:asym"};

constexpr float kMaxE2m1 = 6, kMaxE4m3 = 448;

/// Smallest and largest value of a group; NaN if there is one (torch.amin, amax).
struct Range {
  float min, max;
};
Range range_of(std::span<const float> x) {
  Range range{x[0], x[0]};
  for (const float v : x) {
    if (std::isnan(v)) return {v, v};
    if (v < range.min) range.min = v;
    if (v > range.max) range.max = v;
  }
  return range;
}

/// get_reciprocal: 0 for 0.
float reciprocal(float x) {
  return x == 0 ? 0.0f : 1.0f / x;
}

/// The tensor's multiplier 2688/amax, as product with a reciprocal.
float global_scale(float tensor_amax) {
  return kMaxE4m3 * kMaxE2m1 * reciprocal(tensor_amax);
}

/// cast_to_eBm0: the exponent of 2^(e - 2) over 3/4.
float power_exponent(float amax) {
  constexpr float kMinNormal = std::numeric_limits<float>::min();
  return clamp_or_nan(floor_log2f(amax < kMinNormal ? kMinNormal : amax), -127, 127);
}
float power_scale(float exponent) {
  return power_of_two(exponent - 2) / 0.75f;
}

float e4m3_scale(float scale, float global) {
  static const Element& e4m3 = element("e4m3");
  const float wanted = clamp_or_nan(scale * global, -kMaxE4m3, kMaxE4m3);
  if (std::isnan(wanted)) return wanted;
  return round_to(e4m3, wanted) * reciprocal(global);
}

/// Scale and zero point of a group (get_quantization_params).
struct Parameters {
  float scale, zero;
};
Parameters parameters(const Format& format, float global, std::span<const float> x) {
  const Range range = range_of(x);
  const float steps = format.element->is_float() ? 2 * kMaxE2m1 : static_cast<float>((1 << format.element->bits) - 1);
  float scale, zero = 0;
  if (format.zero_point == ZeroPoint::none) {
    scale = 2 * (-range.min > range.max ? -range.min : range.max) / steps;
  } else {
    scale = (range.max - range.min) / steps;
    zero = -std::nearbyint(range.min / scale);  // NaN or Inf for a constant group, as in the original
  }
  if (format.second_level != SecondLevel::none) scale = e4m3_scale(scale, global);
  if (format.scale_element->kind == ElementKind::exponent) scale = power_scale(power_exponent(kMaxE2m1 * scale));
  return {scale == 0 ? 1.0f : scale, zero};
}

/// cast_to_fp4: E2M1 to even, saturating; sign(x) makes +0 of -0.
float cast_to_fp4(float x) {
  static const Element& e2m1 = element("e2m1");
  return std::isnan(x) ? x : round_to(e2m1, std::abs(x)) * sign_of(x);
}

/// quantize(): the value on the grid of the element, before the scale.
float on_grid(const Format& format, const Parameters& p, float x) {
  if (format.element->is_float()) return cast_to_fp4(x / p.scale);
  const int levels = 1 << format.element->bits;
  const bool is_symmetric = format.zero_point == ZeroPoint::none;
  const float min = static_cast<float>(is_symmetric ? -levels / 2 : 0);
  const float max = static_cast<float>(is_symmetric ? levels / 2 - 1 : levels - 1);
  return clamp_or_nan(std::nearbyint(x / p.scale + p.zero), min, max);
}

/// dequantize().
float round_trip(const Format& format, const Parameters& p, float x) {
  const float q = on_grid(format, p, x);
  return format.element->is_float() ? q * p.scale : (q - p.zero) * p.scale;
}

/// round_trip of E2M1 on numbers under a number as scale. Adding and subtracting a float whose last bit is the gap of
/// the binade rounds to a multiple of that gap, ties to even.
void round_trips_e2m1(float scale, std::span<const float> x, float* y) {
  constexpr std::int32_t kFieldOfOne = 127, kGapOfOne = 22;  // above 1 the gap is half of the power of two below
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float u = x[i] / scale;
    const float magnitude = std::min(std::abs(u), 2 * kMaxE2m1);
    const std::int32_t field = std::max(std::bit_cast<std::int32_t>(magnitude) >> 23, kFieldOfOne);
    const float magic = std::bit_cast<float>((field + kGapOfOne) << 23);
    const float q = std::min((magnitude + magic) - magic, kMaxE2m1);
    y[i] = q * static_cast<float>((u > 0) - (u < 0)) * scale;
  }
}

void quantize_group(const Format& format, float tensor_amax, std::span<const float> x, float* y) {
  const Parameters p = parameters(format, global_scale(tensor_amax), x);
  // the range of a group with a NaN is NaN, with an infinity infinite, and then so is the scale unless it was clamped
  if (format.element->is_float() && format.like == "fp_quant" && p.scale > 0 && std::isfinite(p.scale) &&
      std::isfinite(tensor_amax) && std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); }))
    return round_trips_e2m1(p.scale, x, y);
  for (std::size_t i = 0; i < x.size(); ++i) {
    float value = round_trip(format, p, x[i]);
    if (format.like == "fp_quant_ste") value = x[i] + (value - x[i]);
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

void fake_tensor(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  if (format.group == GroupKind::size) require_whole_groups(format, layout, format.group_size);
  fake(quantize_group, format, layout, x, y, context);
}

// The split form is what its export writes: pack_fp4_to_uint8, which gives every zero code 8, and scales times the
// global scale (3 for mxfp4) in the scale's format. So it does not decode to quite the values above: every E2M1 zero is
// negative, every integer zero positive, and a block scale of 0, which counts as 1 above, is exported as 448.

float tensor_scale(const Format&, float amax) {
  return global_scale(amax);
}

std::uint32_t scale_code(const Format& format, float global, float scale) {
  if (format.scale_element->kind == ElementKind::exponent) return lowbit::encode(*format.scale_element, scale * 3);
  if (format.second_level == SecondLevel::none) return std::bit_cast<std::uint32_t>(scale);
  return lowbit::encode(*format.scale_element, scale * global);
}

std::uint8_t code_of(const Format& format, float q) {
  if (format.element->is_integer()) return static_cast<std::uint8_t>(std::isnan(q) ? 0 : static_cast<int>(q));
  constexpr std::uint8_t kZero = 8;
  return q == 0 ? kZero : static_cast<std::uint8_t>(lowbit::encode(*format.element, q));
}

void quantize_codes(const Format& format, float global, std::span<const float> x, std::uint8_t* codes,
                    GroupCodes& group) {
  const Parameters p = parameters(format, global, x);
  group.scale = scale_code(format, global, p.scale);
  for (std::size_t i = 0; i < x.size(); ++i) codes[i] = code_of(format, on_grid(format, p, x[i]));
}

void dequantize_codes(const Format& format, float global, std::span<const std::uint8_t> codes, GroupCodes group,
                      float* y) {
  const bool is_power = format.scale_element->kind == ElementKind::exponent;
  const float stored = lowbit::decode(*format.scale_element, group.scale);
  const float scale = is_power ? power_scale(static_cast<float>(static_cast<int>(group.scale) - 127))
                      : format.second_level == SecondLevel::none ? stored
                                                                 : stored * reciprocal(global);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const bool is_float = format.element->is_float();
    const float q = is_float ? lowbit::decode(*format.element, codes[i] & 0xFu)
                             : static_cast<float>(static_cast<std::int8_t>(codes[i]));
    const float value = q * (is_power && group.scale == 0xFF ? canonical_nan() : scale);
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

constexpr Pipeline kFpQuantPipeline{tensor_scale, quantize_codes, dequantize_codes};

Quantized encode_tensor(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  if (format.zero_point != ZeroPoint::none)
    throw_error(ExitCode::usage,
                "like=fp_quant: asym has no codes, its zero points are floats of any size, NaN for a constant group");
  if (format.group == GroupKind::size) require_whole_groups(format, layout, format.group_size);
  return encode(kFpQuantPipeline, format, layout, x, context);
}

void decode_tensor(const Quantized& quantized, float* y) {
  decode(kFpQuantPipeline, quantized, y);
}

void resolve(Format& format, std::span<const std::string> given) {
  const bool is_plain = format.group != GroupKind::none && format.second_level == SecondLevel::none &&
                        format.scale_element->kind != ElementKind::exponent;
  if (is_plain && !is_given(given, "s")) format.scale_element = &element("fp32");
  if (is_plain && format.element->is_integer() && format.zero_point == ZeroPoint::none && !is_given(given, "range") &&
      !is_given(given, "full"))
    format.range = IntegerRange::half;
  const bool groups = format.group == GroupKind::size || format.group == GroupKind::channel;
  require_one_of(format, format.like, kFormats, groups ? kOpenGroup : 0u, "; any gN or channel");
}

}  // namespace

extern const Implementation kFpQuant;
const Implementation kFpQuant = {
    .name = "fp_quant",
    .description = "Quantizer of FP-Quant: dequantize(quantize(x))",
    .source = "github.com/IST-DASLab/FP-Quant d2e3092, src/quantization/quantizer.py; held to its output",
    .formats = kFormats,
    .resolve = resolve,
    .fake = fake_tensor,
    .encode = encode_tensor,
    .decode = decode_tensor};

extern const Implementation kFpQuantSte;
const Implementation kFpQuantSte = {
    .name = "fp_quant_ste",
    .description = "the same as called in training: x + (quantised - x), in float32 not on the grid",
    .source = "github.com/IST-DASLab/FP-Quant d2e3092, src/quantization/quant_ops.py; held to its output",
    .formats = kFormats,
    .resolve = resolve,
    .fake = fake_tensor,
    .encode = nullptr,
    .decode = nullptr};

}  // namespace lowbit::like
