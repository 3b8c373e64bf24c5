// Excess kurtosis: the weight of the tails.
#pragma once
#include <cstddef>

namespace lowbit {

/// m4 / m2^2 - 3 with central moments over all n values (Fisher's definition, no correction for small samples): 0 for
/// Gaussian data. NaN for n = 0, for values that are all equal, and where any is NaN or Inf. Two passes in double.
double excess_kurtosis(const float* x, std::size_t n);

}  // namespace lowbit
