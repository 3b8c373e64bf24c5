#include "formats/name_check.hpp"

#include <algorithm>
#include <vector>

#include "formats/codec.hpp"
#include "formats/error.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit::name {
namespace {

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw_error(ExitCode::usage, format, std::forward<Args>(args)...);
}

bool is_ternary(const Element& element) {
  return element.kind == ElementKind::codebook && element.codebook.size() == 3;
}

/// Whether the implementation's code is the only source of the rule.
bool needs_int_vs_fp(ScaleRule rule) {
  return rule == ScaleRule::floor_ratio || rule == ScaleRule::round;
}

ScaleRuleKind rule_kind(const Format& format) {
  if (format.scale_element->kind == ElementKind::exponent) return ScaleRuleKind::power_of_two;
  return is_ternary(*format.element) ? ScaleRuleKind::ternary : ScaleRuleKind::quotient;
}

/// Rules that the element and the scale element of `format` can have, in the order of their table.
std::vector<std::string_view> accepted_rules(const Format& format) {
  std::vector<std::string_view> names;
  for (const ScaleRuleRow& row : scale_rules()) {
    if (row.kind != rule_kind(format)) continue;
    if (row.rule == ScaleRule::even && !format.element->is_float()) continue;
    if (needs_int_vs_fp(row.rule) && format.like != "int_vs_fp") continue;
    names.push_back(row.name);
  }
  return names;
}

void check_plain(const Options& set, const Format& format) {
  for (const Slot slot :
       {Slot::scale, Slot::rule, Slot::second_level, Slot::zero_point, Slot::zero_element, Slot::nan}) {
    if (at(set, slot)) {
      refuse("{} needs a group: {} without one is a plain cast; accepted with it: gN, channel, tensor or tileRxC",
             at(set, slot)->text, format.element->name);
    }
  }
  if (format.range == IntegerRange::pow2 || format.range == IntegerRange::half) {
    refuse("{} needs a group (gN, channel, tensor or tileRxC); a plain cast accepts full", at(set, Slot::range)->text);
  }
}

void check_rule(const Format& format) {
  const std::vector<std::string_view> accepted = accepted_rules(format);
  const std::string_view name = scale_rule(format.rule).name;
  if (std::find(accepted.begin(), accepted.end(), name) != accepted.end()) return;
  std::string hint;
  if (needs_int_vs_fp(format.rule) && format.scale_element->kind == ElementKind::exponent)
    hint = " (with like=int_vs_fp)";
  if (scale_rule(format.rule).kind == ScaleRuleKind::power_of_two && rule_kind(format) != ScaleRuleKind::power_of_two)
    hint = " (it needs s=e8m0)";
  if (format.rule == ScaleRule::even && hint.empty()) hint = " (it needs the mantissa of a floating element)";
  refuse("rule={} is not for {} with s={}{}; accepted: {}", name, format.element->name, format.scale_element->name,
         hint, fmt::join(accepted, ", "));
}

void check_second_level(const Format& format) {
  if (format.second_level == SecondLevel::none) return;
  const std::string_view text = format.second_level == SecondLevel::fp32 ? "ts=fp32" : "ts=e8m0";
  const Element& scale = *format.scale_element;
  if (!scale.is_float() || scale.exponent_bits > 5) {
    refuse(
        "{} needs a narrow floating scale, s={} covers float's range by itself; accepted: ts=none, or s=e4m3, s=ue4m3, "
        "s=e5m2, s=fp16 and the like",
        text, scale.name);
  }
  if (is_ternary(*format.element)) refuse("{}: ternary formats have one scale level; accepted: ts=none", text);
  if (format.zero_point != ZeroPoint::none) {
    refuse("{} and {}: formats with a zero point have one scale level; accepted: ts=none", text,
           format.zero_point == ZeroPoint::integer ? "asym" : "min");
  }
}

void check_zero_point(const Options& set, const Format& format) {
  if (format.zero_element && format.zero_point != ZeroPoint::minimum) {
    refuse("z={} is the element of a stored minimum and needs min", format.zero_element->name);
  }
  if (format.zero_point == ZeroPoint::none) return;
  const std::string& text = at(set, Slot::zero_point)->text;
  if (!format.element->is_integer())
    refuse("{}: only integers have a zero point, not {}; accepted: int2 .. int8", text, format.element->name);
  if (format.scale_element->kind == ElementKind::exponent) {
    refuse(
        "{} with s={}: its step is (max - min) / (2^b - 1), not a power of two; accepted: a floating scale, for "
        "example s=fp16",
        text, format.scale_element->name);
  }
  if (format.range != IntegerRange::symmetric) {
    refuse("{} and {} contradict each other: with a zero point all 2^b codes are used; accepted: one of them", text,
           at(set, Slot::range)->text);
  }
}

void check_range(const Options& set, const Format& format) {
  if (format.range == IntegerRange::symmetric) return;
  const std::string& text = at(set, Slot::range)->text;
  if (!format.element->is_integer())
    refuse("{} is for integers, not {}; accepted: int2 .. int8", text, format.element->name);
  if (format.range != IntegerRange::full && format.scale_element->kind == ElementKind::exponent) {
    refuse("{} changes the divisor of amax and needs rule=amax, not s={}; accepted: full, or a floating scale", text,
           format.scale_element->name);
  }
}

void check_conversion(const Options& set, const Format& format) {
  const Element& element = *format.element;
  if (at(set, Slot::seed) && format.conversion.rounding != Rounding::sr)
    refuse("{} needs round=sr", at(set, Slot::seed)->text);
  if (format.conversion.overflow == Overflow::ovf && !element.has_nan()) {
    refuse("ovf: {} has neither Inf nor NaN and always saturates; accepted: sat", element.name);
  }
}

}  // namespace

void fill_defaults(const Options& set, Format& format) {
  if (!at(set, Slot::overflow)) format.conversion.overflow = default_conversion(*format.element).overflow;
  if (!format.is_block()) return;
  const bool ternary = is_ternary(*format.element);
  if (!at(set, Slot::scale)) format.scale_element = &element(ternary ? "e4m3" : "fp32");
  if (!at(set, Slot::rule)) {
    switch (rule_kind(format)) {
      case ScaleRuleKind::quotient:
        format.rule = ScaleRule::amax;
        break;
      case ScaleRuleKind::power_of_two:
        format.rule = ScaleRule::floor;
        break;
      case ScaleRuleKind::ternary:
        format.rule = ScaleRule::twn;
        break;
    }
  }
  if (format.zero_point == ZeroPoint::minimum && !at(set, Slot::zero_element)) {
    const std::string_view scale = format.scale_element->name;
    format.zero_element = scale == "fp16" || scale == "bf16" ? format.scale_element : &element("fp32");
  }
}

void check(const Options& set, const Format& format) {
  if (format.is_block()) {
    if (is_ternary(*format.element) && format.scale_element->kind == ElementKind::exponent) {
      refuse(
          "s=e8m0: the scale of a ternary format is a mean or maximum, not a power of two; accepted: s=e4m3, s=fp16, "
          "s=fp32 and the like, or mxint2");
    }
    if (format.element->kind == ElementKind::exponent)
      refuse("{} is a scale, not an element that a group can have; accepted: a plain cast", format.element->name);
    if (format.element->is_float() && !format.element->is_signed)
      refuse("{} is a scale without a sign; accepted: a plain cast, or e4m3", format.element->name);
    check_zero_point(set, format);
    check_range(set, format);
    check_rule(format);
    check_second_level(format);
  } else {
    check_plain(set, format);
    check_range(set, format);
  }
  check_conversion(set, format);
}

}  // namespace lowbit::name
