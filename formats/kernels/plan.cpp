// Which formats and layouts the block kernels cover, and the walk over rows and ragged tails.
#include <algorithm>
#include <cmath>

#include "formats/block_quantizer.hpp"
#include "formats/kernels/fake_quantize.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit::kernels {

namespace {

/// Outputs of at least this many bytes are stored past the caches: they would not be found there anyway.
constexpr std::size_t kStreamBytes = std::size_t{8} << 20;

/// One block through the reference pipeline.
void reference_block(const BlockPlan& plan, const float* x, float* y, std::size_t n) {
  constexpr std::size_t kPiece = 1024;
  std::uint32_t codes[kPiece];
  const GroupState state = plan.quantizer->begin(x, n);
  for (std::size_t first = 0; first < n; first += kPiece) {
    const std::size_t m = std::min(kPiece, n - first);
    plan.quantizer->encode(state, x + first, m, nullptr, codes);
    plan.quantizer->decode(state, codes, m, y + first);
  }
}

/// Significant bits of an element's values.
int precision(const Element& element) {
  return element.is_float() ? element.mantissa_bits + 1 : element.bits;
}

bool covered(const Format& format) {
  const bool to_nearest =
      format.conversion.rounding == Rounding::rne || format.conversion.rounding == Rounding::rna;
  const bool element = format.element->is_integer() || (format.element->is_float() && format.element->bits <= 8);
  return format.like.empty() && !format.flush && format.zero_point == ZeroPoint::none && to_nearest && element &&
         format.conversion.overflow == Overflow::sat && format.scale_element != nullptr;
}

bool plan_power_of_two(const Format& format, BlockPlan& plan) {
  if (format.scale_element->kind != ElementKind::exponent || format.second_level != SecondLevel::none) return false;
  if (scale_rule(format.rule).kind != ScaleRuleKind::power_of_two) return false;
  if (format.range != IntegerRange::symmetric && format.element->is_integer()) return false;
  plan.scaler = BlockPlan::kPowerOfTwo;
  plan.rule = power_of_two_rule(format.rule, *format.element);
  return true;
}

bool plan_quotient(const Format& format, std::optional<float> tensor_scale, BlockPlan& plan) {
  const Element& scale = *format.scale_element;
  if (format.rule != ScaleRule::amax || !scale.is_float()) return false;
  plan.scaler = tensor_scale ? BlockPlan::kTwoLevel : BlockPlan::kQuotient;
  plan.divisor = scale_divisor(format);
  plan.rounds_scale = scale.bits < 32;
  plan.scale_low = 0x1p-100f;
  plan.scale_high = 0x1p100f;
  if (plan.rounds_scale) {
    plan.scale_element = element_params(scale);
    // from the smallest subnormal on a quotient rounds to something above 0
    plan.scale_low = std::max(plan.scale_low, static_cast<float>(scale.min_subnormal()));
  }
  if (!tensor_scale) return true;
  plan.second = *tensor_scale;
  // element * block scale must be exact in float
  return precision(*format.element) + precision(scale) <= 24 && *tensor_scale >= 0x1p-100f && *tensor_scale <= 0x1p118f;
}

/// Length of a contiguous group, 0 where groups are not contiguous.
std::size_t contiguous_group(const Format& format, const Layout& layout) {
  if (format.group == GroupKind::tensor) return layout.size();
  if (layout.inner() != 1) return 0;
  if (format.group == GroupKind::channel) return layout.length();
  return format.group == GroupKind::size ? format.group_size : 0;
}

void run_row(const BlockPlan& plan, const float* x, float* y, std::size_t n) {
  const std::size_t whole = n / plan.group;
  run_blocks(plan, x, y, whole);
  const std::size_t done = whole * plan.group;
  if (done < n) plan.reference(plan, x + done, y + done, n - done);
}

}  // namespace

bool fake_quantize(const Format& format, const Layout& layout, const float* x, float* y,
                   const QuantizeContext& context) {
  if (target() == "ref" || !covered(format)) return false;
  BlockPlan plan;
  plan.group = contiguous_group(format, layout);
  if (plan.group == 0 || plan.group % lane_count() != 0 || layout.size() == 0) return false;
  const DefaultRounding state;

  std::optional<float> tensor_scale;
  if (format.second_level != SecondLevel::none) {
    const float amax = context.tensor_amax ? *context.tensor_amax : finite_maximum(x, layout.size());
    if (!(amax >= 0 && std::isfinite(amax))) return false;  // the reference has the error
    tensor_scale = second_level_scale(format, amax);
  }
  if (!plan_power_of_two(format, plan) && !plan_quotient(format, tensor_scale, plan)) return false;
  plan.element = element_params(coded_element(format));
  plan.rounding = format.conversion.rounding;
  const auto quantizer = make_block_quantizer(format, tensor_scale);
  plan.quantizer = quantizer.get();
  plan.reference = reference_block;
  plan.stream = x != y && layout.size() * sizeof(float) >= kStreamBytes &&
                reinterpret_cast<std::uintptr_t>(y) % 64 == 0 && plan.group % 16 == 0;

  const std::size_t length = format.group == GroupKind::tensor ? layout.size() : layout.length();
  if (length % plan.group == 0) {
    run_row(plan, x, y, layout.size());
  } else {
    plan.stream = false;  // rows start anywhere
    for (std::size_t row = 0; row < layout.size(); row += length) run_row(plan, x + row, y + row, length);
  }
  return true;
}

}  // namespace lowbit::kernels
