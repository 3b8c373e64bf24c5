// like=int_vs_fp: fp_quant and int_quant of the code of "INT v.s. FP" (arXiv:2510.25602) on float32 tensors, quirks
// included: exponents by float32 log2, scales cut to [1e-25, 1e25], NV scales multiplied in bfloat16.
#include <array>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"
#include "formats/like/options.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 13> kFormats = {
    "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "mxint8", "mxint6",
    "mxint4",     "int8:g32",   "int6:g32",   "int4:g32",   "nvfp4", "nvint4"};
constexpr std::string_view kOptions =
    "; rule=ceil (default), floor (its ocp), floor_ratio (its floor), round; any gN or channel; ts=e8m0 with nvfp4, "
    "nvint4; full with integers";
constexpr float kEpsilon = 1e-25f, kLargestScale = 1e25f;
constexpr Conversion kOverflowing{Rounding::rne, Overflow::ovf};

float max_of(const Format& format) {
  return static_cast<float>(format.element->max());
}

float to_bf16(float x) {
  return round_to(element("bf16"), x, kOverflowing);
}

/// amax / Qmax; fp_quant takes 1e-25 for an amax of 0.
float plain_scale(const Format& format, float amax) {
  if (amax == 0 && format.element->is_float()) amax = kEpsilon;
  return amax / max_of(format);
}

/// e8_scale: 2^e with e by the float32 log2.
float power_scale(const Format& format, float amax) {
  const float scale = plain_scale(format, amax);
  const auto exponent = [&] {
    switch (format.rule) {
      case ScaleRule::floor:
        return floor_log2f(amax) - static_cast<float>(format.element->emax());
      case ScaleRule::floor_ratio:
        return floor_log2f(scale);
      case ScaleRule::round:
        return round_log2f(scale);
      default:
        return ceil_log2f(scale);
    }
  };
  return power_of_two(clamp_or_nan(exponent(), -127, 127));
}

/// The second-level scale of scale_quant (max / 448) and scale_quant_2 (the next power of two).
float second_level(const Format& format, float tensor_amax) {
  const float scale = plain_scale(format, tensor_amax) / 448.0f;
  if (format.second_level == SecondLevel::fp32) return scale;
  const float cut = clamp_or_nan(scale, kEpsilon, kLargestScale);
  const float power = power_of_two(clamp_or_nan(ceil_log2f(cut), -127, 127));
  return format.element->is_float() ? clamp_or_nan(power, kEpsilon, kLargestScale) : power;
}

/// The E4M3 block scale times the second-level one: both operands and the product are bfloat16. Values past 448
/// saturate as the E4M3 cast of torch does from 2.13 on.
float nv_scale(const Format& format, float amax, float tensor_amax) {
  const float global = second_level(format, tensor_amax);
  const float ratio = plain_scale(format, amax) / global;
  if (std::isnan(ratio)) return ratio;
  const float block = round_to(element("e4m3"), ratio);
  const float scale = to_bf16(to_bf16(global) * block);
  return clamp_or_nan(scale, to_bf16(kEpsilon), to_bf16(kLargestScale));
}

float block_scale(const Format& format, float amax, float tensor_amax) {
  if (format.second_level != SecondLevel::none) return nv_scale(format, amax, tensor_amax);
  const bool is_power = format.scale_element->kind == ElementKind::exponent;
  const float scale = is_power ? power_scale(format, amax) : plain_scale(format, amax);
  return clamp_or_nan(scale, kEpsilon, kLargestScale);
}

/// x on the grid of a floating element: the exponent by float32 log2 of |x| + 1e-25, the mantissa to even.
float on_float_grid(const Element& to, float x) {
  const int lowest = -to.bias, highest = (1 << to.exponent_bits) - 1 - to.bias;
  const float steps = std::ldexp(1.0f, to.mantissa_bits);
  const float magnitude = std::abs(x);
  const float exponent =
      clamp_or_nan(floor_log2f(magnitude + kEpsilon), static_cast<float>(lowest), static_cast<float>(highest));
  if (exponent <= static_cast<float>(lowest)) {
    const float unit = std::ldexp(1.0f, lowest + 1);
    return sign_of(x) * unit * (std::nearbyint(magnitude / unit * steps) / steps);
  }
  const float mantissa = std::nearbyint((magnitude / power_of_two(exponent) - 1) * steps);
  const bool carry = mantissa >= steps;
  return sign_of(x) * power_of_two(exponent + (carry ? 1.0f : 0.0f)) * (1 + (carry ? 0.0f : mantissa) / steps);
}

void quantize_group(const Format& format, float tensor_amax, std::span<const float> x, float* y) {
  const Element& to = *format.element;
  const float scale = block_scale(format, amax_or_nan(x), tensor_amax), max = max_of(format);
  const float min = to.is_integer() && is_full_range(format) ? -max - 1 : -max;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float input = x[i] / scale;
    const float code = to.is_float() ? on_float_grid(to, input) : std::nearbyint(input);
    const float value = clamp_or_nan(code, min, max) * scale;
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

/// The maximum that the second-level scale is made of: that of the block maxima after zeros became 1e-25.
float largest_block_maximum(const Format& format, const Layout& layout, const float* x, float amax) {
  if (!format.element->is_float() || !(amax < kEpsilon)) return amax;
  std::vector<float> values;
  for_each_run(format, layout, [&](const Run& run) {
    values.resize(run.count);
    for (std::size_t i = 0; i < run.count; ++i) values[i] = x[run.first + i * run.stride];
    if (amax_or_nan(values) == 0) amax = kEpsilon;
  });
  return amax;
}

void fake_tensor(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  if (format.group == GroupKind::size) require_whole_groups(format, layout, format.group_size);
  QuantizeContext known = context;
  if (format.second_level != SecondLevel::none) {
    const float amax = context.tensor_amax ? *context.tensor_amax : amax_or_nan({x, layout.size()});
    known.tensor_amax = largest_block_maximum(format, layout, x, amax);
  }
  fake(quantize_group, format, layout, x, y, known);
}

bool has_rule(ScaleRule rule) {
  return rule == ScaleRule::ceil || rule == ScaleRule::floor || rule == ScaleRule::floor_ratio ||
         rule == ScaleRule::round;
}

void resolve(Format& format, std::span<const std::string> given) {
  const bool is_power = format.scale_element != nullptr && format.scale_element->kind == ElementKind::exponent;
  if (is_power && !is_given(given, "rule")) format.rule = ScaleRule::ceil;
  const bool groups = format.group == GroupKind::size || format.group == GroupKind::channel;
  const bool two_level = format.second_level != SecondLevel::none;
  Format narrow = format;  // the list holds the symmetric range; both are there
  if (format.element->is_integer() && format.range == IntegerRange::full) narrow.range = IntegerRange::symmetric;
  require_one_of(narrow, "int_vs_fp", kFormats,
                 (is_power && has_rule(format.rule) ? kOpenRule : 0u) | (groups ? kOpenGroup : 0u) |
                     (two_level ? kOpenSecondLevel : 0u),
                 kOptions);
}

}  // namespace

extern const Implementation kIntVsFp;
const Implementation kIntVsFp = {
    .name = "int_vs_fp",
    .description = "the code of 'INT v.s. FP' on float32 tensors",
    .source =
        "github.com/manageryzy/INT_vs_FP 5ca5625 (fork of ChenMnZ/INT_vs_FP), quant/quant_func.py; held to its output",
    .formats = kFormats,
    .resolve = resolve,
    .fake = fake_tensor,
    .encode = nullptr,
    .decode = nullptr};

}  // namespace lowbit::like
