// bitsandbytes' 4-bit codebooks as its CPU code has them: NF4 and FP4 (which is not OCP E2M1), FP32 absmax.
#include <array>
#include <bit>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"

namespace lowbit::like {
namespace {

constexpr std::array<std::string_view, 14> kFormats = {
    "nf4:g32",     "nf4:g64",     "nf4:g128",     "nf4:g256",     "nf4:g512",     "nf4:g1024",     "nf4:g2048",
    "bnb_fp4:g32", "bnb_fp4:g64", "bnb_fp4:g128", "bnb_fp4:g256", "bnb_fp4:g512", "bnb_fp4:g1024", "bnb_fp4:g2048"};
constexpr float kSmallestAbsmax = 1e-38f;  // raised to this before its reciprocal is taken

constexpr std::array<std::uint8_t, 16> kNf4Order = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
/// FP4 codes by value; the zeros are code 0, then code 8.
constexpr std::array<std::uint8_t, 16> kFp4Order = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

/// A codebook sorted by value, and the float32 midpoints between neighbours.
struct Thresholds {
  std::array<std::uint8_t, 16> order;
  std::array<float, 15> midpoints;
};

Thresholds thresholds_of(const Element& element, const std::array<std::uint8_t, 16>& order) {
  Thresholds t{order, {}};
  for (std::size_t i = 0; i < 15; ++i)
    t.midpoints[i] = (element.codebook[order[i]] + element.codebook[order[i + 1]]) / 2;
  return t;
}

const Thresholds& thresholds(const Element& codebook) {
  static const Thresholds nf4 = thresholds_of(element("nf4_codebook"), kNf4Order);
  static const Thresholds fp4 = thresholds_of(element("bnb_fp4_codebook"), kFp4Order);
  return codebook.name == "nf4_codebook" ? nf4 : fp4;
}

/// Midpoints strictly below v; a NaN lies above all of them.
std::uint8_t code_of(const Thresholds& t, float v) {
  std::size_t below = 0;
  while (below < t.midpoints.size() && !(t.midpoints[below] >= v)) ++below;
  return t.order[below];
}

float clamp_unit(float v) {
  return v < -1.0f ? -1.0f : v > 1.0f ? 1.0f : v;
}

void quantize(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group) {
  const Thresholds& t = thresholds(*format.element);
  const float absmax = amax_or_nan(x);
  const float raised = absmax < kSmallestAbsmax ? kSmallestAbsmax : absmax;
  const bool incomplete = x.size() < format.group_size;  // the last block of a tensor: divides, and stores `raised`
  const float reciprocal = 1.0f / raised;
  group.scale = std::bit_cast<std::uint32_t>(incomplete ? raised : absmax);
  for (std::size_t i = 0; i < x.size(); ++i)
    codes[i] = code_of(t, clamp_unit(incomplete ? x[i] / raised : x[i] * reciprocal));
}

void dequantize(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group, float* y) {
  const float absmax = std::bit_cast<float>(group.scale);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float value = (format.element->codebook[codes[i] & 0xFu] + 0.0f) * absmax;  // code 8 of FP4 is +0
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

constexpr Pipeline kBitsandbytesPipeline{nullptr, quantize, dequantize};

void resolve(Format& format, std::span<const std::string>) {
  require_one_of(format, format.like, kFormats);
}

}  // namespace

extern const Implementation kBitsandbytes;
const Implementation kBitsandbytes{
    "bitsandbytes",
    "NF4 and FP4 of bitsandbytes, CPU code; blocks of the quantised axis where it takes memory order",
    "PyPI bitsandbytes 0.50.2, functional.quantize_4bit; checked against the running code",
    kFormats,
    resolve,
    fake_with<kBitsandbytesPipeline>,
    encode_with<kBitsandbytesPipeline>,
    decode_with<kBitsandbytesPipeline>};

}  // namespace lowbit::like
