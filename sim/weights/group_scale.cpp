#include "sim/weights/group_scale.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "formats/codec.hpp"
#include "formats/like/float_math.hpp"

namespace lowbit::weights {
namespace {

constexpr float kMaxE2m1 = 6, kMaxE4m3 = 448;

float reciprocal(float x) {
  return x == 0 ? 0.0f : 1.0f / x;
}

}  // namespace

Format inner_format(const Format& format) {
  if (format.like.empty()) return format;
  Format inner = format;
  inner.like.clear();
  inner.preset.clear();
  inner.scale_element = &element("fp32");
  inner.rule = ScaleRule::amax;
  inner.second_level = SecondLevel::none;
  return inner;
}

GroupScales::GroupScales(const Format& format, float tensor_amax) : format_(format), fp_quant_(!format.like.empty()) {
  if (format.second_level != SecondLevel::none)
    tensor_scale_ = fp_quant_ ? kMaxE4m3 * kMaxE2m1 * reciprocal(tensor_amax) : second_level_scale(format, tensor_amax);
  const std::optional<float> inner_scale = fp_quant_ ? std::nullopt : tensor_scale_;
  quantizer_ = make_block_quantizer(inner_format(format), inner_scale);
}

float GroupScales::multiplier() const {
  if (!tensor_scale_) return 1;
  return fp_quant_ ? reciprocal(*tensor_scale_) : *tensor_scale_;
}

void GroupScales::set_tensor_scale(float multiplier) {
  assert(!fp_quant_ && tensor_scale_);
  tensor_scale_ = multiplier;
  quantizer_ = make_block_quantizer(format_, tensor_scale_);
}

float GroupScales::unrounded(const float* x, std::size_t n) const {
  return group_maximum(x, n).amax / scale_divisor(format_);
}

GroupScale GroupScales::plain(float s, std::uint32_t code) const {
  if (s == 0) s = 1;  // get_quantization_params: a scale of 0 counts as 1
  GroupScale scale;
  scale.code = code;
  scale.state.scale_code = std::bit_cast<std::uint32_t>(s);
  scale.state.step = s;
  scale.state.divisor = s;
  return scale;
}

// FP-Quant, quantizer.py: get_quantization_params; see formats/like/fp_quant.cpp, whose values these scales reproduce.
GroupScale GroupScales::absmax(const float* x, std::size_t n) const {
  if (!fp_quant_) {
    GroupScale scale{quantizer_->begin(x, n), 0};
    scale.code = scale.state.scale_code;
    return scale;
  }
  const float steps = format_.element->is_float() ? 2 * kMaxE2m1 : static_cast<float>((1 << format_.element->bits) - 1);
  const float s = 2 * group_maximum(x, n).amax / steps;
  if (!power_of_two()) return rounded(s);
  const float amax = std::max(kMaxE2m1 * s, std::numeric_limits<float>::min());
  return from_code(static_cast<std::uint32_t>(like::clamp_or_nan(like::floor_log2f(amax), -127, 127) + 127));
}

GroupScale GroupScales::rounded(double s) const {
  if (!fp_quant_) {
    const double multiple = s / multiplier();
    return from_code(encode_scale(*format_.scale_element, multiple));
  }
  if (format_.second_level == SecondLevel::none) return plain(static_cast<float>(s), 0);
  const float wanted = like::clamp_or_nan(static_cast<float>(s) * *tensor_scale_, -kMaxE4m3, kMaxE4m3);
  return from_code(encode_scale(*format_.scale_element, wanted));
}

GroupScale GroupScales::from_code(std::uint32_t code) const {
  if (!fp_quant_) {
    GroupScale scale{quantizer_->restore(code, 0), code};
    if (!power_of_two() && !(scale.state.divisor > 0)) scale.state.kind = GroupState::zero;
    return scale;
  }
  if (power_of_two()) {
    // stored 2^e, used 2^(e - 2) / (3 / 4)
    return plain(like::power_of_two(static_cast<float>(static_cast<int>(code) - 127) - 2) / 0.75f, code);
  }
  return plain(lowbit::decode(*format_.scale_element, code) * multiplier(), code);
}

}  // namespace lowbit::weights
