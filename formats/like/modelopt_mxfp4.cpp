// ModelOpt's MXFP4 packer: MXFP4QTensor.quantize and dequantize.
#include <algorithm>
#include <array>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"
#include "formats/like/options.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 1> kFormats = {"mxfp4:rule=ceil:round=rtsm"};
constexpr std::uint32_t kSignBit = 8;

/// ceil of the float log2 of amax / 6. The byte of a NaN or Inf is a conversion that C leaves open: on x86 0, all
/// elements are the code of a negative zero.
bool scale_is_open(float amax) {
  return !std::isfinite(amax);
}

std::uint32_t scale_code(float amax) {
  return static_cast<std::uint32_t>(std::max(ceil_log2f(amax / 6.0f), -127.0f) + 127.0f);
}

void quantize(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const float amax = amax_or_nan(x);
  if (scale_is_open(amax)) {
    group.scale = 0;
    std::fill_n(codes, x.size(), static_cast<std::uint8_t>(kSignBit));
    return;
  }
  group.scale = scale_code(amax);
  const float scale = std::ldexp(1.0f, static_cast<int>(group.scale) - 127);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float v = x[i] / scale;
    const std::uint32_t magnitude = lowbit::encode(*format.element, std::abs(v), {Rounding::rtsm, Overflow::sat});
    codes[i] = static_cast<std::uint8_t>(magnitude | (v > 0 ? 0u : kSignBit));  // zeros of either sign are -0
  }
}

void dequantize(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group, float* y) {
  const float scale = std::ldexp(1.0f, static_cast<int>(group.scale) - 127);
  for (std::size_t i = 0; i < codes.size(); ++i) y[i] = lowbit::decode(*format.element, codes[i] & 0xFu) * scale;
}

constexpr Pipeline kModeloptMxfp4Pipeline{nullptr, quantize, dequantize};

void resolve(Format& format, std::span<const std::string> given) {
  if (format.is_block() && !is_given(given, "rule")) format.rule = ScaleRule::ceil;
  if (!is_given(given, "round")) format.conversion.rounding = Rounding::rtsm;
  require_one_of(format, format.like, kFormats);
}

}  // namespace

extern const Implementation kModeloptMxfp4;
const Implementation kModeloptMxfp4{
    "modelopt_mxfp4",
    "ModelOpt's MXFP4 packer: ties to the smaller magnitude, every zero has the sign bit",
    "PyPI nvidia-modelopt 0.47.0, qtensor/mxfp4_tensor.py; checked against the running code (torch 2.15.0), NaN and "
    "Inf "
    "left out",
    kFormats,
    resolve,
    fake_with<kModeloptMxfp4Pipeline>,
    encode_with<kModeloptMxfp4Pipeline>,
    decode_with<kModeloptMxfp4Pipeline>};

}  // namespace lowbit::like
