#include "experiments/tools/format_equations.hpp"

#include <fmt/format.h>

#include "formats/block_quantizer.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit {
namespace {

constexpr const char* kRoundings[] = {"rne", "rna", "rtz", "rtsm", "sr"};

std::string rounded(const Format& f, const std::string& argument) {
  return fmt::format("{}({})", kRoundings[static_cast<int>(f.conversion.rounding)], argument);
}

std::string cast(const Format& f, const std::string& argument) {
  return fmt::format("{}.{}({})", f.element->name, kRoundings[static_cast<int>(f.conversion.rounding)], argument);
}

FormatEquations shifted(const Format& f) {
  const int levels = (1 << f.element->bits) - 1;
  const std::string_view scale = f.scale_element->name;
  if (f.zero_point == ZeroPoint::integer)
    return {fmt::format("s = {}((max(hi, 0) - min(lo, 0)) / {}), z = clamp(rne(-min(lo, 0) / s), 0, {}); lo, hi: least "
                        "and greatest value of the group",
                        scale, levels, levels),
            fmt::format("code = clamp({} + z, 0, {})", rounded(f, "x / s"), levels), "y = (code - z) * s",
            "asymmetric quantisation of GPTQ (arXiv:2210.17323) and AWQ (arXiv:2306.00978)"};
  return {fmt::format("s = {}((hi - lo) / {}), z = {}(lo); lo, hi: least and greatest value of the group", scale,
                      levels, f.zero_element->name),
          fmt::format("code = clamp({}, 0, {})", rounded(f, "(x - z) / s"), levels), "y = s * code + z",
          "KIVI, arXiv:2402.02750, section 3.1"};
}

FormatEquations ternary(const Format& f) {
  FormatEquations equations;
  equations.scale = fmt::format("{}, stored as {}", scale_rule(f.rule).equation, f.scale_element->name);
  equations.encode = f.rule == ScaleRule::twn ? "code = 1 + (|x| > 0.7 mean |x| ? sign(x) : 0)"
                                              : fmt::format("code = 1 + clamp({}, -1, 1)", rounded(f, "x / s"));
  equations.decode = "y = (code - 1) * s";
  return equations;
}

FormatEquations power_of_two(const Format& f) {
  const std::string_view equation = scale_rule(f.rule).equation;
  if (!f.element->is_integer())
    return {fmt::format("{}, clamped to -127..127, stored as E8M0", equation),
            fmt::format("code = {}", cast(f, "x / 2^X")), "y = value(code) * 2^X", ""};
  const int implicit = implicit_exponent(*f.element);
  return {fmt::format("{}, clamped to -127..127, stored as E8M0; emax and max of code * 2^-{}", equation, implicit),
          fmt::format("code = clamp({}, {}, {})", rounded(f, fmt::format("x / 2^(X - {})", implicit)),
                      f.code_element().q_min, f.code_element().q_max),
          fmt::format("y = code * 2^(X - {})", implicit), ""};
}

FormatEquations quotient(const Format& f) {
  const std::string_view scale = f.scale_element->name;
  const double divisor = scale_divisor(f);
  const bool two_levels = f.second_level != SecondLevel::none;
  const std::string step = two_levels ? "s * t" : "s";
  FormatEquations equations;
  if (two_levels) {
    const std::string t = fmt::format("amax(tensor) / ({} * {})", divisor, f.scale_element->max());
    equations.scale = f.second_level == SecondLevel::fp32
                          ? fmt::format("t = {}, s = {}(amax / ({} * t))", t, scale, divisor)
                          : fmt::format("t = 2^ceil(log2({})), s = {}(amax / ({} * t))", t, scale, divisor);
  } else {
    equations.scale =
        scale == "fp32" ? fmt::format("s = amax / {}", divisor) : fmt::format("s = {}(amax / {})", scale, divisor);
  }
  equations.encode = fmt::format("code = {}", cast(f, two_levels ? "x / (s * t)" : "x / s"));
  equations.decode = fmt::format("y = value(code) * {}, rounded once", step);
  return equations;
}

}  // namespace

FormatEquations format_equations(const Format& f) {
  if (!f.like.empty()) return {};
  if (!f.scale_element) return {"", fmt::format("code = {}", cast(f, "x")), "y = value(code)", ""};
  if (f.zero_point != ZeroPoint::none) return shifted(f);
  const ScaleRuleRow& rule = scale_rule(f.rule);
  FormatEquations equations = rule.kind == ScaleRuleKind::ternary        ? ternary(f)
                              : rule.kind == ScaleRuleKind::power_of_two ? power_of_two(f)
                                                                         : quotient(f);
  equations.source = rule.source;
  return equations;
}

}  // namespace lowbit
