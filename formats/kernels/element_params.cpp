#include "formats/kernels/element_params.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "formats/codec.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit::kernels {

namespace {

/// Largest float from which on values belong to the lower of two neighbours with this midpoint (codebook.cpp has the
/// rule for ties).
float threshold_of(const Element& element, Rounding rounding, float middle) {
  const bool positive = middle > 0;
  const bool tie_up = rounding == Rounding::rna    ? positive
                      : rounding == Rounding::rtsm ? !positive
                                                   : !element.ties_down && !positive;
  return tie_up ? std::nextafter(middle, -std::numeric_limits<float>::infinity()) : middle;
}

void add_codebook(const Element& element, Rounding rounding, ElementParams& p) {
  std::vector<std::pair<float, std::int32_t>> sorted;
  for (std::uint32_t code = 0; code < element.codebook.size(); ++code) {
    const float value = element.codebook[code];
    if (value == 0 && std::signbit(value)) continue;  // the sign of zero is put back by the kernel
    sorted.emplace_back(value, static_cast<std::int32_t>(code));
  }
  std::sort(sorted.begin(), sorted.end());
  std::fill_n(p.threshold, 16, std::numeric_limits<float>::infinity());
  p.count = static_cast<int>(sorted.size());
  for (int i = 0; i < p.count; ++i) {
    p.value_of[i] = sorted[i].first;
    p.code_of[i] = sorted[i].second;
    if (i == 0) continue;
    const auto middle = static_cast<float>((double{p.value_of[i - 1]} + double{p.value_of[i]}) / 2);
    p.threshold[i - 1] = threshold_of(element, rounding, middle);
  }
}

}  // namespace

ElementParams element_params(const Element& element, Rounding rounding) {
  ElementParams p;
  p.negative_zero = element.has_negative_zero();
  p.bits = element.bits;
  p.max_code = static_cast<std::int32_t>(element.max_code());
  p.max = static_cast<float>(element.max());
  switch (element.kind) {
    case ElementKind::integer:
      p.grid = Grid::integer;
      p.q_min = static_cast<float>(element.q_min);
      p.q_max = static_cast<float>(element.q_max);
      p.implicit_exponent = implicit_exponent(element);
      break;
    case ElementKind::codebook:
      p.grid = Grid::codebook;
      add_codebook(element, rounding, p);
      break;
    default:
      p.mantissa_bits = element.mantissa_bits;
      p.infinity_code = element.has_infinity() ? p.max_code + 1 : -1;
      p.decode_factor = std::ldexp(1.0f, 127 - element.bias);
      p.min_normal_bits = std::bit_cast<std::int32_t>(static_cast<float>(element.min_normal()));
  }
  for (std::uint32_t code = 0; element.bits <= 4 && code < 16; ++code)
    p.by_code[code] = code < element.code_count() ? decode(element, code) : canonical_nan();
  return p;
}

PowerOfTwoRule power_of_two_rule(ScaleRule rule, const Element& element) {
  constexpr std::int32_t kMantissa = 0x7fffff;
  const std::int32_t max_mantissa = std::bit_cast<std::int32_t>(static_cast<float>(element.max())) & kMantissa;
  const int emax = element.emax();
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
  // ceil and ceil_pow2 choose X so that amax does not exceed the element's largest value
  r.saturates = rule != ScaleRule::ceil && rule != ScaleRule::ceil_pow2;
  r.emax_bits = emax * (1 << 23);
  // Far enough from both ends that the grid's steps, half of them, and what the kernels add to round are normal floats.
  const int emin = element.is_float() ? 1 - element.bias : 0;
  r.low = (emax - emin + element.mantissa_bits + 8) << 23;
  r.high = (127 + 96) << 23;
  return r;
}

}  // namespace lowbit::kernels
