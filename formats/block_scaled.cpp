// Blocks of floats, symmetric integers and codebook values under one scale, with or without a second-level scale: MX,
// NVFP4 and NVINT4, group, channel, tensor and tile formats, NF4.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "formats/block_quantizer.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit {
namespace {

/// Significant bits of the values of an element.
int precision(const Element& element) {
  switch (element.kind) {
    case ElementKind::floating:
      return element.mantissa_bits + 1;
    case ElementKind::integer:
      return element.bits;
    case ElementKind::exponent:
      return 1;
    case ElementKind::codebook:
      break;
  }
  return 24;
}

class ScaledQuantizer final : public BlockQuantizer {
 public:
  ScaledQuantizer(const Format& format, std::optional<float> tensor_scale)
      : format_(format),
        element_(coded_element(format)),
        scale_element_(*format.scale_element),
        table_(element_),
        tensor_scale_(tensor_scale),
        divisor_(scale_divisor(format)),
        power_of_two_(scale_element_.kind == ElementKind::exponent),
        zero_code_(lowbit::encode(element_, 0.0f)) {
    assert(power_of_two_ == (scale_rule(format.rule).kind == ScaleRuleKind::power_of_two));
    assert(!power_of_two_ || !tensor_scale);
    const int second_level = !tensor_scale ? 0 : format.second_level == SecondLevel::e8m0 ? 1 : 24;
    exact_ = precision(element_) + precision(scale_element_) + second_level <= 53;
  }

  GroupState begin(const float* x, std::size_t n) const override {
    const GroupMaximum maximum = group_maximum(x, n);
    if (maximum.special && format_.nan == NanPolicy::poison) {
      GroupState state = restore(scale_element_.nan_code(), 0);
      state.kind = GroupState::poisoned;
      return state;
    }
    GroupState state = restore(scale_code(maximum.amax), 0);
    if (maximum.amax == 0 || !(state.divisor > 0)) state.kind = GroupState::zero;
    return state;
  }

  GroupState restore(std::uint32_t scale_code, std::uint32_t) const override {
    GroupState state;
    state.scale_code = scale_code;
    const float scale = lowbit::decode(scale_element_, scale_code);
    if (power_of_two_) {
      state.step = std::ldexp(static_cast<double>(scale), -implicit_exponent(element_));
      state.inverse = 1 / state.step;
      return state;
    }
    state.step = static_cast<double>(scale) * (tensor_scale_ ? *tensor_scale_ : 1.0f);
    state.divisor = std::min(tensor_scale_ ? scale * *tensor_scale_ : scale, std::numeric_limits<float>::max());
    return state;
  }

  void encode(const GroupState& state, const float* x, std::size_t n, const std::uint32_t* words,
              std::uint32_t* codes) const override {
    const Conversion conversion = format_.conversion;
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t word = words == nullptr ? 0 : words[i];
      if (state.kind != GroupState::regular) {
        codes[i] = state.kind == GroupState::poisoned ? 0 : code_without_scale(x[i]);
      } else if (power_of_two_) {
        codes[i] = lowbit::encode(element_, static_cast<double>(x[i]) * state.inverse, conversion, word);
      } else {
        codes[i] = lowbit::encode(element_, x[i] / state.divisor, conversion, word);
      }
    }
  }

  void decode(const GroupState& state, const std::uint32_t* codes, std::size_t n, float* y) const override {
    const bool integer = element_.is_integer();
    for (std::size_t i = 0; i < n; ++i) {
      const double value = table_(codes[i]);
      float product = exact_ ? static_cast<float>(value * state.step) : round_product(value, state.step);
      if (integer) product += 0.0f;  // a product that underflows gives +0
      y[i] = std::isnan(product) ? canonical_nan() : product;
    }
  }

 private:
  /// Code of a value in a group of scale 0: +0, but a NaN (under nan=ignore) stays one where the element has it.
  std::uint32_t code_without_scale(float x) const {
    return std::isnan(x) && element_.has_nan() ? element_.nan_code() : zero_code_;
  }

  std::uint32_t scale_code(float amax) const {
    if (power_of_two_) return static_cast<std::uint32_t>(scale_exponent(format_.rule, *format_.element, amax) + 127);
    if (!tensor_scale_) return encode_scale(scale_element_, amax / divisor_);
    if (!(*tensor_scale_ > 0)) return 0;
    return encode_scale(scale_element_, amax / (divisor_ * *tensor_scale_));
  }

  const Format format_;
  const Element& element_;
  const Element& scale_element_;
  const DecodeTable table_;
  const std::optional<float> tensor_scale_;
  const float divisor_;
  const bool power_of_two_;
  const std::uint32_t zero_code_;
  bool exact_;
};

}  // namespace

std::unique_ptr<BlockQuantizer> make_scaled_quantizer(const Format& format, std::optional<float> tensor_scale) {
  return std::make_unique<ScaledQuantizer>(format, tensor_scale);
}

}  // namespace lowbit
