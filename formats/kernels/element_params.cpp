#include "formats/kernels/element_params.hpp"

#include <bit>

#include "formats/scale_rule.hpp"

namespace lowbit::kernels {

ElementParams element_params(const Element& element) {
  ElementParams p;
  p.is_float = element.is_float();
  p.negative_zero = element.has_negative_zero();
  p.max = static_cast<float>(element.max());
  if (p.is_float) {
    p.mantissa_bits = element.mantissa_bits;
    p.min_normal_bits = std::bit_cast<std::int32_t>(static_cast<float>(element.min_normal()));
  } else {
    p.q_min = static_cast<float>(element.q_min);
    p.q_max = static_cast<float>(element.q_max);
    p.step_exponent = -implicit_exponent(element);
  }
  return p;
}

PowerOfTwoRule power_of_two_rule(ScaleRule rule, const Element& element) {
  constexpr std::int32_t kMantissa = 0x7fffff;
  const std::int32_t max_mantissa = std::bit_cast<std::int32_t>(static_cast<float>(element.max())) & kMantissa;
  const int emax = element.is_float() ? element.emax() : 0;
  PowerOfTwoRule r;
  switch (rule) {
    case ScaleRule::ceil:
      r.add = kMantissa - max_mantissa;
      break;
    case ScaleRule::ceil_pow2:
      r.add = kMantissa;
      break;
    case ScaleRule::even:
      r.add = 1 << (22 - element.mantissa_bits);
      break;
    default:
      break;
  }
  r.emax_bits = emax << 23;
  // far enough from both ends that X, the integer step and their reciprocals are normal floats
  r.low = (emax + 16) << 23;
  r.high = 250 << 23;
  return r;
}

}  // namespace lowbit::kernels
