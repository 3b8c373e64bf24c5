// ModelOpt's Triton NVFP4 fake quantiser (fp4_fake_quant_kernel), with IEEE division.
#include <array>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 1> kFormats = {"nvfp4"};
constexpr float kNoGlobalScale = 1e-12f;  // stands for a global scale that is not positive
constexpr float kSmallestScale = 1e-5f;   // effective scales below it become 1

/// The maximum of a GPU: skips NaN, 0 if there is nothing else.
float amax_without_nan(std::span<const float> x) {
  float amax = 0.0f;
  for (const float v : x) amax = std::fmax(amax, std::abs(v));
  return amax;
}

float effective_scale(const Format& format, float tensor_amax, std::span<const float> x) {
  const float wanted_global = tensor_amax / 2688.0f;
  const float global = wanted_global > 0 ? wanted_global : kNoGlobalScale;
  const float ratio = std::fmin(amax_without_nan(x) / (6.0f * global), 448.0f);
  const float scale = lowbit::round_to(*format.scale_element, ratio) * global;
  return scale >= kSmallestScale ? scale : 1.0f;
}

/// E2M1 magnitude, ties to even; a NaN passes all comparisons and becomes 6.
float magnitude(const Format& format, float scaled) {
  return std::isnan(scaled) ? 6.0f : lowbit::round_to(*format.element, scaled);
}

void fake_group(const Format& format, float tensor_amax, std::span<const float> x, float* y) {
  const float scale = effective_scale(format, tensor_amax, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float value = magnitude(format, std::abs(x[i]) / scale) * scale;
    const float result = x[i] >= 0 ? value : 0.0f - value;  // Triton negates by subtracting: no -0
    y[i] = std::isnan(result) ? canonical_nan() : result;
  }
}

void resolve(Format& format, std::span<const std::string>) {
  require_one_of(format, format.like, kFormats);
}

}  // namespace

extern const Implementation kModeloptTriton;
const Implementation kModeloptTriton{
    "modelopt_triton",
    "ModelOpt's Triton NVFP4 fake quantiser; its quotient taken as the IEEE one",
    "PyPI nvidia-modelopt 0.47.0, kernels/quantization/gemm/fp4_kernel_hopper.py; checked against Triton's interpreter "
    "with its E4M3 cast replaced, NaN and Inf from the source",
    kFormats,
    resolve,
    fake_with<fake_group>,
    nullptr,
    nullptr};

}  // namespace lowbit::like
