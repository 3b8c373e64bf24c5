// Named rules that make the scale of a block. Those that make a power of two (E8M0) are computed here from the largest
// magnitude, exactly; those that need all values of the block (amax / max, ternary) are listed here and computed in
// block.
#pragma once
#include <span>
#include <string_view>

#include "formats/element.hpp"
#include "formats/format.hpp"

namespace lowbit {

/// What a rule makes the scale of.
enum class ScaleRuleKind { quotient, power_of_two, ternary };

struct ScaleRuleRow {
  ScaleRule rule;
  ScaleRuleKind kind;
  std::string_view name;      ///< value of rule=
  std::string_view alias;     ///< accepted on input, or empty
  std::string_view equation;  ///< m, E: amax = m * 2^E, 1 <= m < 2; max, emax: of the element
  std::string_view source;
};
std::span<const ScaleRuleRow> scale_rules();
const ScaleRuleRow& scale_rule(ScaleRule rule);
/// The row of that name or alias, or nullptr.
const ScaleRuleRow* find_scale_rule(std::string_view name);

/// Exponent of the implicit factor of the element under an E8M0 scale: value = code * 2^-implicit_exponent * X. bits -
/// 2 for integers (OCP MX v1.0, 5.3.4: MXINT8 is code * 2^-6), 0 for all others.
int implicit_exponent(const Element& element);

/// Exponent X of the block scale 2^X that a power-of-two rule makes, clamped to the range -127..127 of E8M0: X + 127 is
/// the stored code. Integers: the rule makes the step of the integer grid, X is its exponent + implicit_exponent(), and
/// the clamp applies to X. Exact: no float log2 or quotient. amax: finite and > 0; 0 gives -127 (code 0), and so that
/// the function is total Inf and NaN give 127 (blocks that hold one are poisoned by the caller). `even` needs a
/// floating element.
int scale_exponent(ScaleRule rule, const Element& element, float amax);

}  // namespace lowbit
