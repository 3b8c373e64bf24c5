// ModelOpt's NVFP4 export path: NVFP4QTensor.quantize and dequantize.
#include <algorithm>
#include <array>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 1> kFormats = {"nvfp4"};
constexpr std::uint32_t kNanScale = 0x7F, kNegativeNanScale = 0xFF;
constexpr std::uint8_t kNanElement = 7;  // a NaN lies above all bounds

float tensor_scale(const Format&, float amax) {
  return amax / 2688.0f;
}

/// A ratio of zero becomes 1, others are cut to 2^-9..448: never code 0.
std::uint32_t scale_code(const Format& format, float amax, float tensor_scale) {
  const float ratio = amax / (6.0f * tensor_scale);
  // a NaN that came in is positive, one that 0/0 or Inf/Inf makes is negative (x86)
  if (std::isnan(ratio)) return std::isnan(amax) || std::isnan(tensor_scale) ? kNanScale : kNegativeNanScale;
  const float wanted = ratio == 0 ? 1.0f : ratio;
  return lowbit::encode(*format.scale_element, std::clamp(wanted, 0x1p-9f, 448.0f));
}

float block_scale(const Format& format, std::uint32_t code, float tensor_scale) {
  const bool nan = (code & 0x7F) == 0x7F;
  return (nan ? canonical_nan() : lowbit::decode(*format.scale_element, code)) * tensor_scale;
}

void quantize(const Format& format, float tensor_scale, std::span<const float> x, std::uint8_t* codes,
              GroupCodes& group) {
  group.scale = scale_code(format, amax_or_nan(x), tensor_scale);
  const float scale = block_scale(format, group.scale, tensor_scale);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float v = x[i] / scale;
    const std::uint32_t magnitude = std::isnan(v) ? kNanElement : lowbit::encode(*format.element, std::abs(v));
    codes[i] = static_cast<std::uint8_t>(magnitude | (v < 0 ? 8u : 0u));
  }
}

void dequantize(const Format& format, float tensor_scale, std::span<const std::uint8_t> codes, GroupCodes group,
                float* y) {
  const float scale = block_scale(format, group.scale, tensor_scale);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float e = codes[i] == 8 ? 0.0f : lowbit::decode(*format.element, codes[i] & 0xFu);  // its table has no -0
    const float value = e * scale;
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

constexpr Pipeline kModeloptExportPipeline{tensor_scale, quantize, dequantize};

void resolve(Format& format, std::span<const std::string>) {
  require_one_of(format, format.like, kFormats);
}

}  // namespace

extern const Implementation kModeloptExport;
const Implementation kModeloptExport{
    "modelopt_export",
    "NVFP4 of ModelOpt's checkpoint export",
    "PyPI nvidia-modelopt 0.47.0, qtensor/nvfp4_tensor.py; checked against the running code (torch 2.15.0)",
    kFormats,
    resolve,
    fake_with<kModeloptExportPipeline>,
    encode_with<kModeloptExportPipeline>,
    decode_with<kModeloptExportPipeline>};

}  // namespace lowbit::like
