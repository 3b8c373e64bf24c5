// Rounding and overflow are arguments of a conversion, never properties of a type.
#pragma once
#include <cstdint>

namespace lowbit {

enum class Rounding {
  rne,   ///< to nearest, ties to the even code
  rna,   ///< to nearest, ties away from zero
  rtz,   ///< toward zero
  rtsm,  ///< to nearest, ties to the smaller magnitude
  sr     ///< stochastic: up iff the random word is below the exact fraction of the gap times 2^32
};

enum class Overflow {
  sat,  ///< values beyond max() become max(), sign kept
  ovf   ///< values that round beyond max() become Inf, or NaN where the element has no Inf
};

struct Conversion {
  Rounding rounding = Rounding::rne;
  Overflow overflow = Overflow::sat;
};

}  // namespace lowbit
