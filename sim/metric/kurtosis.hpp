// Excess kurtosis: the weight of the tails.
#pragma once
#include <cstddef>

#include "formats/primitives.hpp"

namespace lowbit {

/// m4 / m2^2 - 3 with central moments over all n values (Fisher's definition, no correction for small samples): 0 for
/// Gaussian data. NaN for n = 0, for values that are all equal, and where any is NaN or Inf. Two passes in double.
double excess_kurtosis(const float* x, std::size_t n);
/// The same of n values that are not all equal, from their central sums.
double excess_kurtosis(const CentralSums& central, std::size_t n);

}  // namespace lowbit
