// The few numbers of an element that the vector kernels need, and how a power-of-two rule becomes one addition.
#pragma once
#include <cstdint>

#include "formats/format.hpp"

namespace lowbit::kernels {

struct ElementParams {
  bool is_float = true;
  bool negative_zero = true;
  int mantissa_bits = 0;
  std::int32_t min_normal_bits = 0;  ///< float bits of the smallest normal
  float max = 0;
  float q_min = 0, q_max = 0;        ///< integers
  int step_exponent = 0;             ///< integers under E8M0: grid step = X * 2^step_exponent
};
ElementParams element_params(const Element& element);

/// Exponent of an E8M0 scale by one addition on the bits of amax: ((bits + add) & 0x7f800000) - (emax << 23) are the bits
/// of X. floor adds nothing; ceil carries into the exponent iff the mantissa exceeds that of the element's maximum;
/// ceil_pow2 iff it is not 0; even rounds the mantissa to M bits, half up. Holds for normal amax away from the range's ends.
struct PowerOfTwoRule {
  std::int32_t add = 0;
  std::int32_t emax_bits = 0;           ///< emax << 23 (0 for integers: the implicit factor is theirs)
  std::int32_t low = 0, high = 0;       ///< amax bits in [low, high) are ordinary
};
PowerOfTwoRule power_of_two_rule(ScaleRule rule, const Element& element);

}  // namespace lowbit::kernels
