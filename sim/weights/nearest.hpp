// The nearest value of an element by float arithmetic, for the loops that ask millions of times.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "formats/block_quantizer.hpp"
#include "sim/weights/clones.hpp"

namespace lowbit::weights {

/// What rounding to the nearest value of an element of at most 8 bits needs.
struct Nearest {
  float max, negative_max;
  std::int32_t lowest;  ///< exponent field of the smallest gap's binade
  std::int32_t shift;   ///< added to a binade's exponent field: 1.0 there has the gap as its last bit
  bool is_float;

  explicit Nearest(const Format& format) {
    const Element& e = *format.element;
    const Element& coded = coded_element(format);
    is_float = e.is_float();
    max = static_cast<float>(coded.max());
    negative_max = static_cast<float>(-coded.min());
    lowest = is_float ? std::bit_cast<std::int32_t>(static_cast<float>(e.min_normal())) >> 23 : 0;
    shift = is_float ? 23 - e.mantissa_bits : 0;
  }

  /// |u| rounded to the element, ties to even, saturating at `top` (max or negative_max); |u| below 2^22. Adding and
  /// subtracting a number whose last bit is the gap of the binade rounds to a multiple of that gap.
  LOWBIT_WEIGHTS_INLINE float operator()(float magnitude, float top) const {
    float magic = 12582912.0f;
    if (is_float) {
      const std::int32_t field = std::bit_cast<std::int32_t>(magnitude) >> 23;
      magic = std::bit_cast<float>(((field < lowest ? lowest : field) + shift) << 23);
    }
    const float rounded = (magnitude + magic) - magic;
    return rounded > top ? top : rounded;
  }
};

}  // namespace lowbit::weights
