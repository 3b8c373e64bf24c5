// like=microxcaling: the PyTorch path of microsoft/microxcaling (mx_ops.py, elemwise_ops.py), quirks included:
// exponents by float32 log2, floor(|x| + 0.5) in float32, NaN for a block whose exponent passes 127.
#include <cmath>
#include <limits>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"
#include "formats/like/groups.hpp"
#include "formats/like/like.hpp"
#include "formats/like/microxcaling.hpp"

namespace lowbit::like {

namespace {

/// _round_mantissa: "nearest", "even", "floor". The sum |x| + 0.5 is rounded, so 0.49999997 becomes 1 in both of the
/// first.
float round_mantissa(float x, Rounding rounding) {
  const float magnitude = std::abs(x);
  if (rounding == Rounding::rtz) return sign_of(x) * std::floor(magnitude);
  const float nearest = std::floor(magnitude + 0.5f);
  if (rounding == Rounding::rna) return sign_of(x) * nearest;
  const float rest = magnitude - 0.5f;  // an even integer at the ties that go down: 0.5, 2.5, 4.5, ...
  const bool tie = rest >= 0 && std::fmod(rest, 2.0f) == 0;
  return sign_of(x) * (nearest - (tie ? 1.0f : 0.0f));
}

/// _quantize_elemwise_core with saturate_normals and allow_denorm.
float quantize_element(float x, const MicroxElement& to, Rounding rounding) {
  float power = 1;
  if (to.exponent_bits > 0) {
    const float min_exponent = static_cast<float>(2 - (1 << (to.exponent_bits - 1)));
    const float exponent = floor_log2f(std::abs(x) + (x == 0 ? 1.0f : 0.0f));
    power = power_of_two(exponent < min_exponent ? min_exponent : exponent);
  }
  const float grid = std::ldexp(1.0f, to.bits - 2);
  const float rounded = round_mantissa(x / power * grid, rounding) / grid * power;
  return std::isinf(x) ? x : clamp_or_nan(rounded, -to.max, to.max);
}

/// _shared_exponents and the scale: the exponent of 2^e, NaN where it passes 127.
float shared_exponent(float amax) {
  constexpr float kMinNormal = std::numeric_limits<float>::min();  // stands for a maximum of 0
  return floor_log2f(amax == 0 ? kMinNormal : amax);
}

void quantize_block(const Format& format, float, std::span<const float> x, float* y) {
  const MicroxElement to = microx_element(*format.element);
  const float exponent = shared_exponent(amax_or_nan(x));
  const bool flushed = format.flush && !(exponent > -127);
  float scale_exponent = exponent - static_cast<float>(to.emax);
  if (scale_exponent > 127) scale_exponent = std::numeric_limits<float>::quiet_NaN();
  if (scale_exponent < -127) scale_exponent = -127;
  const float scale = power_of_two(scale_exponent);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float input = flushed ? x[i] * 0.0f : x[i];
    const float value = quantize_element(input / scale, to, format.conversion.rounding) * scale;
    y[i] = std::isnan(value) ? canonical_nan() : value;
  }
}

void fake_tensor(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  fake(quantize_block, format, layout, x, y, context);
}

void resolve(Format& format, std::span<const std::string> given) {
  resolve_microxcaling(format, given, "microxcaling", {Rounding::rna, Rounding::rne, Rounding::rtz},
                       "; any gN or channel; round=rna (default), rne, rtz; flush");
}

}  // namespace

extern const Implementation kMicroxcaling;
const Implementation kMicroxcaling = {
    .name = "microxcaling",
    .description = "microsoft/microxcaling, its PyTorch path",
    .source = "github.com/microsoft/microxcaling 7bc4195, mx/mx_ops.py quantize_mx_op; held to its output",
    .formats = kMicroxcalingFormats,
    .resolve = resolve,
    .fake = fake_tensor,
    .encode = nullptr,
    .decode = nullptr};

}  // namespace lowbit::like
