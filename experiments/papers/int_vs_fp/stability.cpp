#include "experiments/papers/int_vs_fp/stability.hpp"

#include <algorithm>
#include <cmath>

#include "formats/codec.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::int_vs_fp {
namespace {

/// P(|X| < t) for X ~ N(0, 1), t >= 0.
double normal_inside(double t) {
  return portable_erf(t * 0.7071067811865476);
}

/// Calls visit(value, lower edge, upper edge) for each positive finite value of a float element of at most 16 bits, in
/// ascending order; the edges are the midpoints to its neighbours, where round-to-nearest changes its mind.
template <class Visit>
void for_each_positive(const Element& element, Visit visit) {
  for (std::uint32_t code = 1; code <= element.max_code(); ++code) {
    const double value = decode(element, code), below = decode(element, code - 1);
    const double above = code == element.max_code() ? HUGE_VAL : decode(element, code + 1);
    visit(static_cast<float>(value), 0.5 * (below + value), 0.5 * (value + above));
  }
}

float to_bf16(double x) {
  static const Element& bf16 = element("bf16");
  return round_to(bf16, x);
}

/// ceil(log2(x)) of a positive float, from its exponent field.
int ceil_log2(float x) {
  int exponent;
  return std::frexp(x, &exponent) == 0.5f ? exponent - 1 : exponent;
}

/// Scale of a block of that maximum. A double quotient rounded to float or BF16 is the correctly rounded quotient: 53
/// bits are more than twice 24 plus two.
float block_scale(float amax, BlockArithmetic arithmetic) {
  const double exact = amax / 127.0;
  switch (arithmetic) {
    case BlockArithmetic::bf16:
    case BlockArithmetic::bf16_reciprocal:
    case BlockArithmetic::bf16_scale:
      return to_bf16(exact);
    case BlockArithmetic::bf16_quotient:
    case BlockArithmetic::fp32:
      return static_cast<float>(exact);
    case BlockArithmetic::e8m0:
      return std::ldexp(1.0f, ceil_log2(static_cast<float>(exact)));
    case BlockArithmetic::e8m0_bf16_log2: {
      const double log2 = portable_log(to_bf16(exact)) * 1.4426950408889634;
      return std::ldexp(1.0f, static_cast<int>(std::ceil(to_bf16(log2))));
    }
  }
  return 0;
}

double quotient(float x, float scale, BlockArithmetic arithmetic) {
  const double exact = static_cast<double>(x) / scale;
  switch (arithmetic) {
    case BlockArithmetic::bf16:
    case BlockArithmetic::bf16_quotient:
      return to_bf16(exact);
    case BlockArithmetic::bf16_reciprocal:
      return to_bf16(static_cast<double>(x) * to_bf16(1.0 / scale));
    default:
      return static_cast<float>(exact);
  }
}

}  // namespace

double scaled_code(const Element& element, float d) {
  if (d == 0) return 0;
  const float scale = round_to(element, d / 127.0);
  if (scale == 0) return HUGE_VAL;
  return std::nearbyint(round_to(element, static_cast<double>(d) / scale));
}

Algorithm1Probability algorithm1_probability(const Element& element) {
  Algorithm1Probability p;
  for_each_positive(element, [&](float value, double low, double high) {
    const double code = scaled_code(element, value);
    const double mass = code >= 128 && code < HUGE_VAL ? normal_inside(high) - normal_inside(low) : 0;  // both signs
    p.at_least += mass;
    if (code == 128) p.equal += mass;
  });
  return p;
}

std::size_t algorithm1_binary32_mantissas() {
  const Element& fp32 = element("fp32");
  std::size_t hits = 0;
  for (int m = 0; m < 1 << 23; ++m) hits += scaled_code(fp32, 1 + m * 0x1p-23f) == 128;
  return hits;
}

CodeRange unclipped_codes(std::span<const float> block, BlockArithmetic arithmetic) {
  float amax = 0;
  for (const float x : block) amax = std::max(amax, std::fabs(x));
  CodeRange range;
  if (amax == 0) return range;
  const float scale = block_scale(amax, arithmetic);
  for (const float x : block) {
    const double code = std::nearbyint(quotient(x, scale, arithmetic));
    range.low = std::min(range.low, code);
    range.high = std::max(range.high, code);
  }
  return range;
}

double overflow_probability(std::size_t n, double sigma) {
  const Element& bf16 = element("bf16");
  const auto all_below = [&](double t) {
    const double one = normal_inside(t / sigma);
    double all = 1;
    for (std::size_t i = 0; i < n; ++i) all *= one;
    return all;
  };
  double share = 0;
  for_each_positive(bf16, [&](float value, double low, double high) {
    if (scaled_code(bf16, value) == 128) share += all_below(high) - all_below(low);
  });
  return share;
}

}  // namespace lowbit::int_vs_fp
