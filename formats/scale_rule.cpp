#include "formats/scale_rule.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "formats/unpack.hpp"

namespace lowbit {
namespace {

constexpr std::array kRules = {
    ScaleRuleRow{ScaleRule::amax, ScaleRuleKind::quotient, "amax", "", "s = amax / max",
                 "symmetric quantisation; OCP FP8 practice"},
    ScaleRuleRow{ScaleRule::floor, ScaleRuleKind::power_of_two, "floor", "", "X = E - emax = floor(log2 amax) - emax",
                 "OCP MX v1.0, section 6.3; arXiv:2310.10537, Algorithm 1"},
    ScaleRuleRow{ScaleRule::ceil, ScaleRuleKind::power_of_two, "ceil", "rceil",
                 "X = E - emax + (m > max / 2^emax) = ceil(log2(amax / max))",
                 "INT v.s. FP, arXiv:2510.25602, eq. 9; cuBLAS; torchao RCEIL; arXiv:2506.08027"},
    ScaleRuleRow{ScaleRule::ceil_pow2, ScaleRuleKind::power_of_two, "ceil_pow2", "",
                 "X = E - emax + (m > 1) = ceil(log2 amax) - emax", "torchao CEIL"},
    ScaleRuleRow{ScaleRule::even, ScaleRuleKind::power_of_two, "even", "",
                 "X = E - emax + (m >= 2 - 2^-(M+1)): amax rounded to the M mantissa bits first",
                 "torchao EVEN; vLLM reference"},
    ScaleRuleRow{ScaleRule::floor_ratio, ScaleRuleKind::power_of_two, "floor_ratio", "",
                 "X = E - emax - (m < max / 2^emax) = floor(log2(amax / max))", "INT v.s. FP code, option floor"},
    ScaleRuleRow{ScaleRule::round, ScaleRuleKind::power_of_two, "round", "", "X = RNE(log2(amax / max))",
                 "INT v.s. FP code, option round"},
    ScaleRuleRow{ScaleRule::twn, ScaleRuleKind::ternary, "twn", "", "s = mean of |x| over |x| > 0.7 mean |x|",
                 "Ternary Weight Networks, arXiv:1605.04711"},
    ScaleRuleRow{ScaleRule::absmax, ScaleRuleKind::ternary, "absmax", "", "s = amax", "round-to-nearest ternary"},
    ScaleRuleRow{ScaleRule::absmean, ScaleRuleKind::ternary, "absmean", "", "s = mean |x|",
                 "BitNet b1.58, arXiv:2402.17764"},
    ScaleRuleRow{ScaleRule::grid, ScaleRuleKind::ternary, "grid", "",
                 "s = alpha amax, alpha of 0.300, 0.325, ..., 1.000 with the least squared error",
                 "grid search over 29 factors; not stated in a paper"},
};

/// amax = fraction * 2^exponent with 1 <= fraction < 2, subnormals normalised.
struct Binary {
  double fraction;
  int exponent;
};

Binary split(double value) {
  int exponent = 0;
  const double half = std::frexp(value, &exponent);
  return {2 * half, exponent - 1};
}

/// Exponent of the rule before the implicit factor and the clamp: of the power of two that divides amax.
int grid_exponent(ScaleRule rule, const Element& element, Binary amax) {
  const Binary max = split(element.max());
  const int floor = amax.exponent - max.exponent;
  switch (rule) {
    case ScaleRule::floor:
      return floor;
    case ScaleRule::ceil:
      return floor + (amax.fraction > max.fraction);
    case ScaleRule::ceil_pow2:
      return floor + (amax.fraction > 1);
    case ScaleRule::even:
      assert(element.is_float());
      return floor + (amax.fraction >= 2 - std::ldexp(1.0, -(element.mantissa_bits + 1)));
    case ScaleRule::floor_ratio:
      return floor - (amax.fraction < max.fraction);
    case ScaleRule::round: {
      // The quotient r of the fractions lies in (1/2, 2): up for r > sqrt(2), down for r < sqrt(1/2). Squares of floats
      // are exact in double, and sqrt(2) is irrational, so there is no tie.
      const double a = amax.fraction * amax.fraction;
      const double q = max.fraction * max.fraction;
      return floor + (a > 2 * q) - (2 * a < q);
    }
    default:
      assert(!"not a power-of-two rule");
      return floor;
  }
}

}  // namespace

std::span<const ScaleRuleRow> scale_rules() {
  return kRules;
}

const ScaleRuleRow& scale_rule(ScaleRule rule) {
  return *std::find_if(kRules.begin(), kRules.end(), [&](const ScaleRuleRow& row) { return row.rule == rule; });
}

const ScaleRuleRow* find_scale_rule(std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = std::find_if(kRules.begin(), kRules.end(),
                                  [&](const ScaleRuleRow& row) { return row.name == name || row.alias == name; });
  return found == kRules.end() ? nullptr : &*found;
}

int implicit_exponent(const Element& element) {
  return element.is_integer() ? element.bits - 2 : 0;
}

int scale_exponent(ScaleRule rule, const Element& element, float amax) {
  if (amax == 0) return -127;
  if (!std::isfinite(amax)) return 127;
  const int exponent = grid_exponent(rule, element, split(amax)) + implicit_exponent(element);
  return std::clamp(exponent, -127, 127);
}

}  // namespace lowbit
