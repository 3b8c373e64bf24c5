// Ternary blocks: -1, 0, +1 times one scale, by threshold (TWN), maximum, mean or search.
#include <cassert>
#include <cmath>

#include "formats/block_quantizer.hpp"

namespace lowbit {
namespace {

constexpr int kFirstAlpha = 12, kLastAlpha = 40;  // alpha = k / 40 = 0.3, 0.325, ..., 1.0

class TernaryQuantizer final : public BlockQuantizer {
 public:
  explicit TernaryQuantizer(const Format& format)
      : format_(format), scale_element_(*format.scale_element), digit_(element("int2")) {
    assert(format.element->codebook.size() == 3 && format.second_level == SecondLevel::none);
  }

  GroupState begin(const float* x, std::size_t n) const override {
    const GroupMaximum maximum = group_maximum(x, n);
    if (maximum.special && format_.nan == NanPolicy::poison) {
      GroupState state = restore(scale_element_.nan_code(), 0);
      state.kind = GroupState::poisoned;
      return state;
    }
    double threshold = -1;
    GroupState state = restore(scale_code(x, n, maximum.amax, threshold), 0);
    state.threshold = threshold;
    if (maximum.amax == 0 || !(state.divisor > 0)) state.kind = GroupState::zero;
    return state;
  }

  GroupState restore(std::uint32_t scale_code, std::uint32_t) const override {
    GroupState state;
    state.scale_code = scale_code;
    state.divisor = lowbit::decode(scale_element_, scale_code);
    state.step = state.divisor;
    return state;
  }

  void encode(const GroupState& state, const float* x, std::size_t n, const std::uint32_t* words,
              std::uint32_t* codes) const override {
    for (std::size_t i = 0; i < n; ++i) {
      if (state.kind != GroupState::regular) {
        codes[i] = state.kind == GroupState::poisoned ? 0 : 1;
        continue;
      }
      codes[i] = static_cast<std::uint32_t>(digit(state, x[i], words == nullptr ? 0 : words[i]) + 1);
    }
  }

  void decode(const GroupState& state, const std::uint32_t* codes, std::size_t n, float* y) const override {
    for (std::size_t i = 0; i < n; ++i) {
      const float value =
          codes[i] > 2 ? canonical_nan() : static_cast<float>(static_cast<int>(codes[i]) - 1) * state.divisor + 0.0f;
      y[i] = std::isnan(value) ? canonical_nan() : value;
    }
  }

 private:
  /// -1, 0 or 1. NaN (under nan=ignore) is 0.
  int digit(const GroupState& state, float v, std::uint32_t word) const {
    if (format_.rule == ScaleRule::twn) return std::fabs(v) > state.threshold ? (v < 0 ? -1 : 1) : 0;
    return nearest(v / state.divisor, format_.conversion, word);
  }

  int nearest(float v, Conversion conversion, std::uint32_t word) const {
    const std::uint32_t code = lowbit::encode(digit_, v, conversion, word);
    return code == 3 ? -1 : static_cast<int>(code);
  }

  std::uint32_t scale_code(const float* x, std::size_t n, float amax, double& threshold) const {
    switch (format_.rule) {
      case ScaleRule::absmax:
        return encode_scale(scale_element_, amax);
      case ScaleRule::absmean:
        return encode_scale(scale_element_, mean_above(x, n, -1));
      case ScaleRule::grid:
        return searched(x, n, amax);
      default:
        break;
    }
    threshold = 0.7 * mean_above(x, n, -1);
    return encode_scale(scale_element_, mean_above(x, n, threshold));
  }

  /// Mean of the finite |x| above the threshold, in double and index order; 0 if there are none.
  static double mean_above(const float* x, std::size_t n, double threshold) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double magnitude = std::fabs(static_cast<double>(x[i]));
      if (!std::isfinite(x[i]) || !(magnitude > threshold)) continue;
      sum += magnitude;
      count += 1;
    }
    return count > 0 ? sum / count : 0;
  }

  /// The scale of the first factor alpha with the smallest squared error of the group.
  std::uint32_t searched(const float* x, std::size_t n, float amax) const {
    std::uint32_t best = encode_scale(scale_element_, 0.0f);
    double best_error = -1;
    for (int k = kFirstAlpha; k <= kLastAlpha; ++k) {
      const std::uint32_t code = encode_scale(scale_element_, static_cast<double>(amax) * k / kLastAlpha);
      const double error = squared_error(x, n, lowbit::decode(scale_element_, code));
      if (best_error >= 0 && error >= best_error) continue;
      best = code;
      best_error = error;
    }
    return best;
  }

  double squared_error(const float* x, std::size_t n, float scale) const {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (!std::isfinite(x[i])) continue;
      const int digit = scale > 0 ? nearest(x[i] / scale, {}, 0) : 0;
      const double error = static_cast<double>(x[i]) - digit * static_cast<double>(scale);
      sum += error * error;
    }
    return sum;
  }

  const Format format_;
  const Element& scale_element_;
  const Element& digit_;
};

}  // namespace

std::unique_ptr<BlockQuantizer> make_ternary_quantizer(const Format& format) {
  return std::make_unique<TernaryQuantizer>(format);
}

}  // namespace lowbit
