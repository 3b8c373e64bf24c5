// Unsigned integers under a scale and an offset: asymmetric with an integer zero point (GPTQ, AWQ) and with a float
// minimum (KIVI). Codes 0 .. 2^b - 1.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "formats/block_quantizer.hpp"

namespace lowbit {
namespace {

/// v rounded to an integer; v may be infinite.
double rounded(float v, Rounding rounding, std::uint32_t word) {
  const double magnitude = std::fabs(static_cast<double>(v));
  const double whole = std::floor(magnitude), fraction = magnitude - whole;
  if (!(fraction > 0)) return v;
  bool up = fraction > 0.5;
  switch (rounding) {
    case Rounding::rne:
      up = up || (fraction == 0.5 && std::fmod(whole, 2) != 0);
      break;
    case Rounding::rna:
      up = fraction >= 0.5;
      break;
    case Rounding::rtz:
      up = false;
      break;
    case Rounding::rtsm:
      break;
    case Rounding::sr:
      up = word < fraction * 0x1p32;
      break;
  }
  const double result = whole + up;
  return v < 0 ? -result : result;
}

/// Smallest and largest finite value of a group; 0, 0 if there is none.
struct Range {
  float low = 0, high = 0;
  bool special = false;
};

Range range_of(const float* x, std::size_t n) {
  Range range;
  bool first = true;
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) {
      range.special = true;
      continue;
    }
    range.low = first ? x[i] : std::min(range.low, x[i]);
    range.high = first ? x[i] : std::max(range.high, x[i]);
    first = false;
  }
  return range;
}

class ShiftedQuantizer final : public BlockQuantizer {
 public:
  explicit ShiftedQuantizer(const Format& format) : format_(format), levels_((1u << format.element->bits) - 1) {
    assert(format.element->is_integer() && format.second_level == SecondLevel::none);
    assert(format.scale_element->is_float() && format.rule == ScaleRule::amax);
  }

  GroupState begin(const float* x, std::size_t n) const override {
    Range range = range_of(x, n);
    if (range.special && format_.nan == NanPolicy::poison) {
      GroupState state = restore(format_.scale_element->nan_code(), 0);
      state.kind = GroupState::poisoned;
      return state;
    }
    range.low += 0.0f;  // the order of zeros of both signs must not show in the stored minimum: it is +0
    range.high += 0.0f;
    if (integer_zero()) range.low = std::min(range.low, 0.0f), range.high = std::max(range.high, 0.0f);
    const float extent = range.high - range.low;
    const bool halved = std::isinf(extent);
    const float quotient = (halved ? range.high / 2 - range.low / 2 : extent) / static_cast<float>(levels_);
    const double scale = static_cast<double>(quotient) * (halved ? 2 : 1);
    GroupState state = restore(encode_scale(*format_.scale_element, scale), 0);
    const bool zero = extent == 0 || !(state.divisor > 0);
    std::uint32_t zero_code = 0;
    if (!integer_zero()) {
      zero_code = lowbit::encode(*format_.zero_element, range.low, {Rounding::rne, Overflow::sat});
    } else if (!zero) {
      zero_code = static_cast<std::uint32_t>(clamped(rounded(-range.low / state.divisor, Rounding::rne, 0)));
    }
    state = restore(state.scale_code, zero_code);
    state.halved = halved;
    if (zero) state.kind = GroupState::zero;
    return state;
  }

  GroupState restore(std::uint32_t scale_code, std::uint32_t zero_code) const override {
    GroupState state;
    state.scale_code = scale_code;
    state.zero_code = zero_code;
    state.divisor = lowbit::decode(*format_.scale_element, scale_code);
    state.step = state.divisor;
    if (integer_zero()) {
      state.zero_point = zero_code;
    } else {
      state.minimum = lowbit::decode(*format_.zero_element, zero_code);
    }
    return state;
  }

  void encode(const GroupState& state, const float* x, std::size_t n, const std::uint32_t* words,
              std::uint32_t* codes) const override {
    for (std::size_t i = 0; i < n; ++i) {
      codes[i] = 0;
      if (state.kind != GroupState::regular) continue;
      const float v = std::isnan(x[i]) ? 0.0f : x[i];
      const double whole = rounded(position(state, v), format_.conversion.rounding, words == nullptr ? 0 : words[i]);
      codes[i] = static_cast<std::uint32_t>(clamped(whole + static_cast<double>(state.zero_point)));
    }
  }

  void decode(const GroupState& state, const std::uint32_t* codes, std::size_t n, float* y) const override {
    const float scale = state.divisor;
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t code = codes[i] & levels_;
      float value;
      if (integer_zero()) {
        value = static_cast<float>(static_cast<double>(code - state.zero_point) * state.step) + 0.0f;
      } else {
        const float product = scale * static_cast<float>(code);
        value = product + state.minimum;
      }
      y[i] = std::isnan(value) ? canonical_nan() : value;
    }
  }

 private:
  bool integer_zero() const { return format_.zero_point == ZeroPoint::integer; }
  double clamped(double v) const { return std::clamp(v, 0.0, static_cast<double>(levels_)); }

  /// v in units of the scale: from zero, or from the minimum.
  float position(const GroupState& state, float v) const {
    if (integer_zero()) return v / state.divisor;
    if (!state.halved) return (v - state.minimum) / state.divisor;
    return (v / 2 - state.minimum / 2) / (state.divisor / 2);
  }

  const Format format_;
  const std::uint32_t levels_;
};

}  // namespace

std::unique_ptr<BlockQuantizer> make_shifted_quantizer(const Format& format) {
  return std::make_unique<ShiftedQuantizer>(format);
}

}  // namespace lowbit
