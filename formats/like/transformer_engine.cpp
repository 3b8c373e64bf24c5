// like=transformer_engine: NVFP4 as the PyTorch reference quantiser of NVIDIA Transformer Engine makes it, 1 x 16
// blocks, default path. Its second-level value is the tensor's amax A itself: blocks decode as e * ((c * A) *
// fl(1/2688)).
#include <array>
#include <cmath>
#include <limits>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 1> kFormats = {"nvfp4"};
constexpr float kMaxE2m1 = 6, kMaxE4m3 = 448, kFloatMax = std::numeric_limits<float>::max();
constexpr std::uint32_t kNanScale = 0xFF;  // torch.min sets all bits of a NaN, so its sign is negative

/// min(x, FLT_MAX); NaN stays.
float finite(float x) {
  return x > kFloatMax ? kFloatMax : x;
}

float tensor_scale(const Format&, float amax) {
  return amax;
}

/// 2688/A; 1 where that is 0 (A infinite).
float encode_scale(float tensor_amax) {
  const float scale = finite(kMaxE4m3 * kMaxE2m1 / tensor_amax);
  return scale == 0 ? 1.0f : scale;
}

/// cast_to_fp4x2: by comparisons, so that NaN and -0 get code 0.
std::uint8_t code_of(const Format& format, float x) {
  if (std::isnan(x) || x == 0) return 0;
  return static_cast<std::uint8_t>(lowbit::encode(*format.element, x));
}

void quantize(const Format& format, float tensor_amax, std::span<const float> x, std::uint8_t* codes,
              GroupCodes& group) {
  const float global = encode_scale(tensor_amax);
  const float wanted = clamp_or_nan(finite(amax_or_nan(x) * (global * (1 / kMaxE2m1))), -kMaxE4m3, kMaxE4m3);
  group.scale = std::isnan(wanted) ? kNanScale : lowbit::encode(*format.scale_element, wanted);
  const float multiplier = finite(1 / (lowbit::decode(*format.scale_element, group.scale) * (1 / global)));
  for (std::size_t i = 0; i < x.size(); ++i)
    codes[i] = code_of(format, clamp_or_nan(x[i] * multiplier, -kMaxE2m1, kMaxE2m1));
}

/// dequantize_fp4_kernel of common/cast/nvfp4.
void dequantize(const Format& format, float tensor_amax, std::span<const std::uint8_t> codes, GroupCodes group,
                float* y) {
  const float scale = lowbit::decode(*format.scale_element, group.scale) * tensor_amax * (1 / (kMaxE2m1 * kMaxE4m3));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float value = lowbit::decode(*format.element, codes[i] & 0xFu) * scale;
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

constexpr Pipeline kTransformerEnginePipeline{tensor_scale, quantize, dequantize};

void fake_tensor(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  fake(kTransformerEnginePipeline, format, layout, x, y, context);
}
Quantized encode_tensor(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  return encode(kTransformerEnginePipeline, format, layout, x, context);
}
void decode_tensor(const Quantized& quantized, float* y) {
  decode(kTransformerEnginePipeline, quantized, y);
}

void resolve(Format& format, std::span<const std::string>) {
  require_one_of(format, "transformer_engine", kFormats);
}

}  // namespace

extern const Implementation kTransformerEngine;
const Implementation kTransformerEngine = {
    .name = "transformer_engine",
    .description = "NVFP4 of Transformer Engine's PyTorch reference quantiser",
    .source =
        "github.com/NVIDIA/TransformerEngine d0067d0, pytorch/custom_recipes/reference_nvfp4.py; codes and scales "
        "held to its output, the decoding read from common/cast/nvfp4/dequantize_nvfp4.cuh",
    .formats = kFormats,
    .resolve = resolve,
    .fake = fake_tensor,
    .encode = encode_tensor,
    .decode = decode_tensor};

}  // namespace lowbit::like
