// like=microxcaling_cpp: the C++ and CUDA code of microsoft/microxcaling (mx/cpp): exponents from the bits, integer
// rounding of the mantissa. A value that rounds to zero is +0 whatever its sign.
#include <bit>
#include <cmath>
#include <cstdint>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"
#include "formats/like/microxcaling.hpp"

namespace lowbit::like {
namespace {

constexpr int kBias = 127, kTrailingBits = 23, kExponentField = 0xFF;

int exponent_field(float x) {
  return static_cast<int>(std::bit_cast<std::uint32_t>(x) >> kTrailingBits & kExponentField);
}

float from_fields(std::uint32_t sign, int exponent, std::uint32_t trailing) {
  return std::bit_cast<float>(sign << 31 | static_cast<std::uint32_t>(exponent) << kTrailingBits | trailing);
}

/// mx_get_shared_scale: 2^(exponent - emax), NaN above 2^127, 2^-127 below it; `exponent` biased, all ones for Inf,
/// NaN.
float shared_scale(int exponent, int emax) {
  if (exponent != kExponentField) exponent -= emax;
  if (exponent > 2 * kBias) exponent = kExponentField;
  if (exponent < 0) exponent = 0;
  const bool has_top_bit = exponent == 0 || exponent == kExponentField;  // 2^-127 is subnormal; NaN
  return from_fields(0, exponent, has_top_bit ? 1u << (kTrailingBits - 1) : 0u);
}

/// A binary32 significand, rounded to `bits` bits after `extra` more were shifted out (element subnormals).
struct Significand {
  std::uint32_t value;
  int width;  ///< 24, or 23 for a binary32 subnormal, which has no implicit bit

  void round(int bits, int extra, bool even, bool may_overflow) {
    const int dropped = extra + width - bits;
    const bool below_half_is_zero = dropped - 1 >= 32 || (value & ((1u << (dropped - 1)) - 1)) == 0;
    const bool is_even = dropped >= 32 || (value >> dropped & 1u) == 0;
    value = dropped - 1 >= 32 ? 0 : value >> (dropped - 1);
    const bool stays = even && below_half_is_zero && is_even;
    if (!stays && (may_overflow || value != (1u << (bits + 1)) - 1)) ++value;
    value >>= 1;
  }

  /// Back to a trailing significand; true if rounding carried into the next exponent.
  bool restore(int bits, int extra) {
    value <<= width - bits + extra;
    const bool carried = value >= 1u << width;
    if (carried && width == kTrailingBits + 1) value >>= 1;
    value &= (1u << kTrailingBits) - 1;
    return carried;
  }
};

/// quantize_elemwise with saturate_normals and allow_denorm.
float quantize_element(float x, const MicroxElement& to, bool even) {
  if (x == 0) return 0;
  const std::uint32_t pattern = std::bit_cast<std::uint32_t>(x), sign = pattern >> 31;
  int exponent = exponent_field(x);
  const bool is_integer = to.exponent_bits == 0, is_subnormal = exponent == 0;
  const int bits = to.bits - 1;
  const int new_exponent = exponent - kBias + (is_integer ? 1 : (1 << (to.exponent_bits - 1)) - 1);
  int extra = new_exponent <= 0 ? 1 - new_exponent : 0;
  if (extra > kTrailingBits + 1) extra = kTrailingBits + 1;
  const std::uint32_t trailing = pattern & ((1u << kTrailingBits) - 1);
  Significand significand{is_subnormal ? trailing : trailing | 1u << kTrailingBits,
                          is_subnormal ? kTrailingBits : kTrailingBits + 1};
  significand.round(bits, extra, even, !is_integer);
  if (significand.value == 0) return 0;
  if (significand.restore(bits, extra)) ++exponent;
  const float result = from_fields(sign, exponent, significand.value);
  return std::abs(result) > to.max ? (sign ? -to.max : to.max) : result;
}

/// The maximum is max(abs(x)) of torch, as _quantize_mx hands it to this code.
void quantize_block(const Format& format, float, std::span<const float> x, float* y) {
  const MicroxElement to = microx_element(*format.element);
  const int exponent = exponent_field(amax_or_nan(x));
  const bool flushed = format.flush && exponent == 0;
  const float scale = shared_scale(exponent, to.emax);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(scale)) {
      y[i] = canonical_nan();
      continue;
    }
    const float input = flushed ? 0.0f : x[i] / scale;
    y[i] = quantize_element(input, to, format.conversion.rounding == Rounding::rne) * scale;
  }
}

void fake_tensor(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  fake(quantize_block, format, layout, x, y, context);
}

void resolve(Format& format, std::span<const std::string> given) {
  resolve_microxcaling(format, given, "microxcaling_cpp", {Rounding::rna, Rounding::rne},
                       "; any gN or channel; round=rna (default), rne; flush");
}

}  // namespace

extern const Implementation kMicroxcalingCpp;
const Implementation kMicroxcalingCpp = {
    .name = "microxcaling_cpp",
    .description = "microsoft/microxcaling, its C++ and CUDA code",
    .source = "github.com/microsoft/microxcaling 7bc4195, mx/cpp/quantize.cuh quantize_mx_elem; held to its output",
    .formats = kMicroxcalingFormats,
    .resolve = resolve,
    .fake = fake_tensor,
    .encode = nullptr,
    .decode = nullptr};

}  // namespace lowbit::like
