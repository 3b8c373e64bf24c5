// gfloat's OCP block formats: quantize_block with compute_scale_amax.
#include <algorithm>
#include <array>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 6> kFormats = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3",
                                                      "mxfp6_e3m2", "mxfp4",      "mxint8:full"};
constexpr std::uint32_t kNanScale = 0xFF;
constexpr std::uint32_t kNanCode = 0xFF;  // of E4M3 and E5M2
constexpr int kIntFraction = 6;           // MXINT8: value = code * 2^-6

/// floor of the float log2, clipped. NaN makes the scale NaN where the element has one and is an exception elsewhere;
/// here the block is NaN in both cases.
std::uint32_t scale_code(const Element& element, float amax) {
  if (std::isnan(amax)) return kNanScale;
  if (amax == 0) return 0;
  const float emax = element.is_integer() ? 0.0f : static_cast<float>(element.emax());
  return static_cast<std::uint32_t>(std::clamp(floor_log2f(amax) - emax, -127.0f, 127.0f) + 127.0f);
}

void quantize(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const Element& element = format.code_element();
  group.scale = scale_code(*format.element, amax_or_nan(x));
  const float scale = std::ldexp(1.0f, static_cast<int>(group.scale) - 127);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (group.scale == kNanScale) {
      codes[i] = static_cast<std::uint8_t>(element.has_nan() ? kNanCode : 0u);
      continue;
    }
    const float quotient = x[i] / scale;
    // float64 holds the product by 2^6 exactly
    codes[i] = static_cast<std::uint8_t>(element.is_integer()
                                             ? lowbit::encode(element, std::ldexp(double{quotient}, kIntFraction))
                                             : lowbit::encode(element, quotient));
  }
}

void dequantize(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group, float* y) {
  const Element& element = format.code_element();
  const int exponent = static_cast<int>(group.scale) - 127 - (element.is_integer() ? kIntFraction : 0);
  for (std::size_t i = 0; i < codes.size(); ++i)
    y[i] = group.scale == kNanScale
               ? canonical_nan()
               : static_cast<float>(
                     std::ldexp(double{lowbit::decode(element, codes[i] & (element.code_count() - 1))}, exponent));
}

constexpr Pipeline kGfloatPipeline{nullptr, quantize, dequantize};

void resolve(Format& format, std::span<const std::string>) {
  if (format.element->is_integer()) format.range = IntegerRange::full;
  require_one_of(format, format.like, kFormats);
}

}  // namespace

extern const Implementation kGfloat;
const Implementation kGfloat{
    "gfloat",
    "OCP block formats of gfloat; its float64 results rounded once to float32",
    "PyPI gfloat 0.5.2, block.quantize_block and compute_scale_amax; checked against the running code (numpy 2.4.6)",
    kFormats,
    resolve,
    fake_with<kGfloatPipeline>,
    encode_with<kGfloatPipeline>,
    decode_with<kGfloatPipeline>};

}  // namespace lowbit::like
