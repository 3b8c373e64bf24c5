// Parts that the pipelines share: divisors, maxima, second-level scales, exact products.
#include <bit>
#include <cassert>
#include <cmath>

#include "formats/block_quantizer.hpp"
#include "formats/error.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit {
namespace {

constexpr std::uint32_t kMagnitude = 0x7FFFFFFFu;
constexpr std::uint32_t kInfinity = 0x7F800000u;

/// Largest magnitude below Inf, as bits; slow path for data with specials.
std::uint32_t finite_maximum(const float* x, std::size_t n) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x[i]) & kMagnitude;
    if (bits < kInfinity && bits > largest) largest = bits;
  }
  return largest;
}

/// p moved to the neighbour with an odd last bit, on the side of the exact value p + error: rounding it again to a
/// narrower format then equals rounding the exact value (Boldo and Melquiond, IEEE Trans. Comput. 57, 2008).
double to_odd(double p, double error) {
  const auto bits = std::bit_cast<std::uint64_t>(p);
  if (error == 0 || (bits & 1) != 0) return p;
  const bool away = (error > 0) == (p > 0);
  return std::bit_cast<double>(away ? bits + 1 : bits - 1);
}

}  // namespace

GroupMaximum group_maximum(const float* x, std::size_t n) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x[i]) & kMagnitude;
    largest = bits > largest ? bits : largest;
  }
  if (largest < kInfinity) return {std::bit_cast<float>(largest), false};
  return {std::bit_cast<float>(finite_maximum(x, n)), true};
}

float round_product(double a, double b) {
  const double p = a * b;
  return static_cast<float>(to_odd(p, std::fma(a, b, -p)));
}

const Element& coded_element(const Format& format) {
  const bool full = format.element->is_integer() && format.range != IntegerRange::symmetric;
  return full ? full_range(*format.element) : *format.element;
}

float scale_divisor(const Format& format) {
  const Element& element = *format.element;
  switch (format.range) {
    case IntegerRange::pow2:
      return std::ldexp(1.0f, element.bits - 1);
    case IntegerRange::half:
      return (std::ldexp(1.0f, element.bits) - 1) / 2;
    default:
      return static_cast<float>(element.max());
  }
}

std::optional<float> second_level_scale(const Format& format, float amax) {
  if (format.second_level == SecondLevel::none) return std::nullopt;
  const double divisor = static_cast<double>(scale_divisor(format)) * format.scale_element->max();
  if (!(divisor <= 0x1.fffffep127))
    throw_error(ExitCode::usage,
                "element '{}' with s={}: no second-level scale, the product of their maxima exceeds float32",
                format.element->name, format.scale_element->name);
  if (format.second_level == SecondLevel::fp32) return amax / static_cast<float>(divisor);
  if (amax == 0) return 0x1p-127f;
  int amax_exponent = 0, divisor_exponent = 0;
  const double amax_fraction = std::frexp(static_cast<double>(amax), &amax_exponent);
  const double divisor_fraction = std::frexp(divisor, &divisor_exponent);
  const int exponent = amax_exponent - divisor_exponent + (amax_fraction > divisor_fraction);
  return std::ldexp(1.0f, exponent < -127 ? -127 : exponent > 127 ? 127 : exponent);
}

DecodeTable::DecodeTable(const Element& element) : element_(&element), narrow_(element.bits <= 8) {
  if (!narrow_) return;
  values_.fill(canonical_nan());
  for (std::uint32_t code = 0; code < element.code_count(); ++code) values_[code] = decode(element, code);
}

std::unique_ptr<BlockQuantizer> make_block_quantizer(const Format& format, std::optional<float> tensor_scale) {
  assert(format.nan == NanPolicy::ignore || format.scale_element->has_nan());
  if (format.zero_point != ZeroPoint::none) return make_shifted_quantizer(format);
  if (scale_rule(format.rule).kind == ScaleRuleKind::ternary) return make_ternary_quantizer(format);
  return make_scaled_quantizer(format, tensor_scale);
}

}  // namespace lowbit
