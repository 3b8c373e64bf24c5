// ModelOpt's CUDA block fake quantiser (tensor_quant_mx.cu), as its host functions compute it: IEEE division and FP32
// subnormals, which a build with --use_fast_math does not have.
#include <array>
#include <cfloat>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"
#include "formats/like/options.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 7> kFormats = {"mxfp8_e4m3:rule=ceil",
                                                      "mxfp8_e5m2:rule=ceil",
                                                      "mxfp6_e2m3:rule=ceil",
                                                      "mxfp6_e3m2:rule=ceil",
                                                      "mxfp4:rule=ceil",
                                                      "mxint8:rule=ceil",
                                                      "nvfp4"};

/// `scale` multiplies the values, `unscale` what they were rounded to.
struct Scales {
  float scale = 1, unscale = 1;
};

/// Largest magnitude, cut at FLT_MAX; NaN is skipped unless there is nothing else.
float block_amax(std::span<const float> x) {
  float amax = std::numeric_limits<float>::quiet_NaN();
  for (const float v : x) amax = std::fmax(amax, std::abs(v) > FLT_MAX ? FLT_MAX : std::abs(v));
  return amax;
}

bool is_usable(float amax) {
  return amax != 0 && std::isfinite(amax);
}

/// 2^ceil(log2(amax / max)) from the bits of the float32 quotient; integers count on the integer grid.
Scales mx_scales(const Element& element, float amax) {
  if (!is_usable(amax)) return {};
  const float ratio = amax / static_cast<float>(element.max());
  int exponent = -127;
  if (ratio > 0x1p-127f) {
    int e;
    exponent = std::frexp(ratio, &e) == 0.5f ? e - 1 : e;
  }
  return {std::ldexp(1.0f, -exponent), std::ldexp(1.0f, exponent)};
}

/// The E4M3 scale is rounded from, and divided by, a second-level scale in double.
Scales nvfp4_scales(const Format& format, float amax, float tensor_amax) {
  if (!is_usable(amax) || !is_usable(tensor_amax)) return {};
  const double two_level = 448.0 * (6.0f / tensor_amax);
  const auto wanted = static_cast<float>((amax / 6.0f) * two_level);
  const double unscale = lowbit::round_to(*format.scale_element, wanted) / two_level;
  return {static_cast<float>(1.0 / unscale), static_cast<float>(unscale)};
}

/// NaN stays NaN in FP8 and becomes the maximum elsewhere.
float convert(const Element& element, float magnitude) {
  if (std::isnan(magnitude)) return element.has_nan() ? canonical_nan() : static_cast<float>(element.max());
  return lowbit::round_to(element, magnitude);
}

/// The kernel leaves the sign of zeros and NaN uninitialised: zeros of either sign give +0 here, NaN counts as
/// positive.
void fake_group(const Format& format, float tensor_amax, std::span<const float> x, float* y) {
  const float amax = block_amax(x);
  const bool two_level = format.second_level != SecondLevel::none;
  const Scales s = two_level ? nvfp4_scales(format, amax, tensor_amax) : mx_scales(*format.element, amax);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == 0) {
      y[i] = 0;
      continue;
    }
    const float value = convert(*format.element, std::abs(x[i]) * s.scale) * s.unscale;
    y[i] = std::isnan(value) ? canonical_nan() : x[i] < 0 ? -value : value;
  }
}

void resolve(Format& format, std::span<const std::string> given) {
  const bool mx = format.scale_element != nullptr && format.scale_element->kind == ElementKind::exponent;
  if (mx && !is_given(given, "rule")) format.rule = ScaleRule::ceil;
  require_one_of(format, format.like, kFormats);
}

}  // namespace

extern const Implementation kModeloptCuda;
const Implementation kModeloptCuda{
    "modelopt_cuda",
    "ModelOpt's CUDA block fake quantiser: MX by rceil, NVFP4 with a second level in double",
    "PyPI nvidia-modelopt 0.47.0, tensor_quant_mx.cu; checked against its host functions, uninitialised signs left out",
    kFormats,
    resolve,
    fake_with<fake_group>,
    nullptr,
    nullptr};

}  // namespace lowbit::like
