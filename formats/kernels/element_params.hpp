// The few numbers of an element that the vector kernels need, and how a power-of-two rule becomes one addition.
#pragma once
#include <cstdint>

#include "formats/format.hpp"

namespace lowbit::kernels {

enum class Grid { floating, integer, codebook };

struct ElementParams {
  Grid grid = Grid::floating;
  bool negative_zero = true;
  int bits = 0;
  std::int32_t max_code = 0;
  // floating
  int mantissa_bits = 0;
  std::int32_t min_normal_bits = 0;  ///< float bits of the smallest normal
  float max = 0;
  std::int32_t infinity_code = -1;  ///< magnitude of the code of Inf, -1: none
  float decode_factor = 1;          ///< the fields of a code, placed as those of a float, times this are the value
  // integer
  float q_min = 0, q_max = 0;
  int implicit_exponent = 0;  ///< under E8M0: grid step = X * 2^-implicit_exponent
  // codebook: value_of[i] and code_of[i] belong to x with threshold[i - 1] < x <= threshold[i], in ascending order
  int count = 0;
  float threshold[16] = {};  ///< infinite where there is no further value
  float value_of[16] = {};
  std::int32_t code_of[16] = {};
  float by_code[16] = {};  ///< NaN where there is no value
};
/// `rounding` decides the thresholds of a codebook. At most 16 values.
ElementParams element_params(const Element& element, Rounding rounding = Rounding::rne);

/// Exponent of an E8M0 scale by one addition on the bits of amax: ((bits + add) & 0x7f800000) - (emax << 23) are the
/// bits of the power of two that the grid is scaled by (X, or X over the implicit factor of integers). floor adds
/// nothing; ceil carries into the exponent iff the mantissa exceeds that of the element's maximum; ceil_pow2 iff it is
/// not 0; even rounds the mantissa to M bits, half up. Holds for normal amax away from the range's ends.
struct PowerOfTwoRule {
  std::int32_t add = 0;
  std::int32_t emax_bits = 0;      ///< emax << 23
  std::int32_t low = 0, high = 0;  ///< amax bits in [low, high) are ordinary: no bound of the range is near
  bool saturates = true;           ///< values may round beyond the largest of the element
};
PowerOfTwoRule power_of_two_rule(ScaleRule rule, const Element& element);

}  // namespace lowbit::kernels
