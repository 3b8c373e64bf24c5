#include "formats/kernels/plan.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/kernels/encode.hpp"
#include "formats/random.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit::kernels {

namespace {

/// Significant bits of an element's values.
int precision(const Element& element) {
  if (element.kind == ElementKind::codebook) return 24;
  return element.is_float() ? element.mantissa_bits + 1 : element.bits;
}

bool covered(const Format& format) {
  const Element& element = *format.element;
  const Rounding rounding = format.conversion.rounding;
  const bool draws = rounding == Rounding::sr && element.kind != ElementKind::codebook;
  const bool rounds = rounding == Rounding::rne || rounding == Rounding::rna || draws;
  const bool grid = element.is_integer() || (element.is_float() && element.is_signed && element.bits <= 8) ||
                    element.kind == ElementKind::codebook;
  return format.like.empty() && !format.flush && rounds && grid && format.conversion.overflow == Overflow::sat &&
         format.scale_element != nullptr;
}

bool plan_power_of_two(const Format& format, BlockPlan& plan) {
  if (format.second_level != SecondLevel::none || format.zero_point != ZeroPoint::none) return false;
  if (scale_rule(format.rule).kind != ScaleRuleKind::power_of_two || format.element->kind == ElementKind::codebook)
    return false;
  plan.scaler = Scaler::power_of_two;
  plan.rule = power_of_two_rule(format.rule, *format.element);
  return format.rule == ScaleRule::floor || format.rule == ScaleRule::ceil || format.rule == ScaleRule::ceil_pow2 ||
         format.rule == ScaleRule::even;
}

/// What every scale that is a rounded quotient needs.
bool plan_rounded_scale(const Format& format, BlockPlan& plan) {
  const Element& scale = *format.scale_element;
  if (!scale.is_float()) return false;
  plan.rounds_scale = scale.bits < 32;
  plan.scale_element = element_params(scale);
  plan.scale_low = 0x1p-100f;
  plan.scale_high = 0x1p100f;
  // from the smallest subnormal on a quotient rounds to something above 0
  if (plan.rounds_scale) plan.scale_low = std::max(plan.scale_low, static_cast<float>(scale.min_subnormal()));
  // a scale that saturates far below its quotient leaves x / s where the grid's rounding constant overflows
  if (plan.rounds_scale) plan.scale_high = std::min(plan.scale_high, static_cast<float>(scale.max() * 0x1p64));
  return true;
}

bool plan_quotient(const Format& format, std::optional<float> tensor_scale, BlockPlan& plan) {
  plan.scaler = tensor_scale ? Scaler::two_level : Scaler::quotient;
  plan.divisor = scale_divisor(format);
  if (!plan_rounded_scale(format, plan)) return false;
  if (!tensor_scale) return true;
  plan.second = *tensor_scale;
  // element * block scale must be exact in float
  return format.scale_element->bits <= 8 && precision(*format.element) + precision(*format.scale_element) <= 24 &&
         *tensor_scale >= 0x1p-100f && *tensor_scale <= 0x1p118f;
}

bool plan_shifted(const Format& format, BlockPlan& plan) {
  plan.scaler = format.zero_point == ZeroPoint::integer ? Scaler::asymmetric : Scaler::minimum;
  if (plan.scaler == Scaler::minimum) {
    if (!format.zero_element->is_float() || !format.zero_element->is_signed) return false;
    plan.zero_element = element_params(*format.zero_element);
    plan.rounds_zero = format.zero_element->bits < 32;
  }
  return plan_rounded_scale(format, plan);
}

bool plan_ternary(const Format& format, BlockPlan& plan) {
  if (format.rule == ScaleRule::grid) return false;
  plan.scaler = Scaler::ternary;
  plan.ternary_rule = format.rule;
  return plan_rounded_scale(format, plan);
}

bool plan_scaler(const Format& format, std::optional<float> tensor_scale, BlockPlan& plan) {
  if (scale_rule(format.rule).kind == ScaleRuleKind::ternary) return plan_ternary(format, plan);
  if (format.zero_point != ZeroPoint::none) return plan_shifted(format, plan);
  if (format.scale_element->kind == ElementKind::exponent) return plan_power_of_two(format, plan);
  return format.rule == ScaleRule::amax && plan_quotient(format, tensor_scale, plan);
}

}  // namespace

/// Values of the codes of an element of at most 8 bits, made once for all elements.
static const std::array<float, 256>& decode_table(const Element& element) {
  static const std::vector<std::array<float, 256>> tables = [] {
    std::vector<std::array<float, 256>> all(elements().size());
    for (std::size_t e = 0; e < all.size(); ++e)
      for (std::uint32_t code = 0; elements()[e].bits <= 8 && code < elements()[e].code_count(); ++code)
        all[e][code] = decode(elements()[e], code);
    return all;
  }();
  return tables[static_cast<std::size_t>(&element - elements().data())];
}

void plan_decoding(const Format& format, BlockPlan& plan) {
  plan.scale_source = format.scale_element;
  plan.zero_source = format.zero_element;
  if (format.scale_element->bits > 8) return;
  const std::array<float, 256>& values = decode_table(*format.scale_element);
  // E8M0: a product with a power of two, exact
  const bool power = format.scale_element->kind == ElementKind::exponent;
  const float factor = power ? std::ldexp(1.0f, -implicit_exponent(*format.element)) : 1.0f;
  for (std::uint32_t code = 0; code < format.scale_element->code_count(); ++code)
    plan.scale_of[code] = values[code] * factor;
}

const BlockQuantizer& BlockPlan::reference() const {
  std::call_once(made_, [this] { quantizer_ = make_block_quantizer(format, tensor_scale); });
  return *quantizer_;
}

bool make_plan(const Format& format, std::optional<float> tensor_scale, std::uint64_t stream_number, BlockPlan& plan) {
  if (!covered(format) || !plan_scaler(format, tensor_scale, plan)) return false;
  plan.element = element_params(coded_element(format), format.conversion.rounding);
  plan.rounding = format.conversion.rounding;
  plan.zero_code = format.zero_point == ZeroPoint::none ? static_cast<int>(encode(coded_element(format), 0.0f)) : 0;
  // draws compare bits far below the grid: keep subnormals and what underflows as a multiple of it further away
  if (plan.rounding == Rounding::sr) {
    plan.rule.low += 64 << 23;
    plan.rule.high = (127 + 30) << 23;
  }
  plan.seed = format.seed;
  plan.stream_number = stream_number;
  plan.sign_extends = format.element->is_integer() && format.zero_point == ZeroPoint::none;
  plan.format = format;
  plan.tensor_scale = tensor_scale;
  return true;
}

void reference_group(const BlockPlan& plan, const float* x, float* y, std::size_t n, std::uint64_t index,
                     std::size_t stride) {
  constexpr std::size_t kPiece = 1024;
  std::uint32_t codes[kPiece], words[kPiece];
  const bool draws = plan.rounding == Rounding::sr;
  const BlockQuantizer& quantizer = plan.reference();
  const GroupState state = quantizer.begin(x, n);
  for (std::size_t first = 0; first < n; first += kPiece) {
    const std::size_t m = std::min(kPiece, n - first);
    for (std::size_t i = 0; draws && i < m; ++i)

      words[i] = random_word(plan.seed, plan.stream_number, index + (first + i) * stride);
    quantizer.encode(state, x + first, m, draws ? words : nullptr, codes);
    quantizer.decode(state, codes, m, y + first);
  }
}

GroupState reference_codes(const BlockPlan& plan, const float* x, std::size_t n, std::uint64_t index,
                           std::size_t stride, std::uint8_t* codes) {
  constexpr std::size_t kPiece = 1024;
  std::uint32_t wide[kPiece], words[kPiece];
  const bool draws = plan.rounding == Rounding::sr;
  const int unused = plan.sign_extends ? 32 - plan.element.bits : 0;
  const BlockQuantizer& quantizer = plan.reference();
  const GroupState state = quantizer.begin(x, n);
  for (std::size_t first = 0; first < n; first += kPiece) {
    const std::size_t m = std::min(kPiece, n - first);
    for (std::size_t i = 0; draws && i < m; ++i)
      words[i] = random_word(plan.seed, plan.stream_number, index + (first + i) * stride);
    quantizer.encode(state, x + first, m, draws ? words : nullptr, wide);
    for (std::size_t i = 0; i < m; ++i) {
      const auto extended = static_cast<std::int32_t>(wide[i] << unused) >> unused;
      codes[first + i] = static_cast<std::uint8_t>(extended);
    }
  }
  return state;
}

}  // namespace lowbit::kernels
