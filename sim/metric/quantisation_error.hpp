// Errors of a quantised tensor: QSNR, mean square, maximum.
#pragma once
#include <cstddef>

#include "formats/primitives.hpp"

namespace lowbit {

struct QuantisationError {
  double qsnr_db = 0;        ///< 10 log10(sum x^2 / sum (x - y)^2); +Inf where y = x, NaN where x = 0 too
  double mse = 0;            ///< mean of (x - y)^2
  double max_abs_error = 0;  ///< largest |x - y|
};

/// One ratio of sums over all n values (not a mean over blocks). NaN or Inf in x or y, and n = 0, make the results NaN
/// or infinite, never a finite number. Differences and sums in double, in the order of formats/primitives.hpp. Source:
/// "INT v.s. FP", arXiv 2510.25602, eq. 10.
QuantisationError quantisation_error(const float* x, const float* y, std::size_t n);
/// The same of sums that were made before.
QuantisationError quantisation_error(const ErrorSums& sums);

}  // namespace lowbit
