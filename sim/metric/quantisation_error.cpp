#include "sim/metric/quantisation_error.hpp"

#include <cmath>
#include <limits>

namespace lowbit {

QuantisationError quantisation_error(const ErrorSums& sums) {
  QuantisationError result;
  result.mse = sums.error2 / static_cast<double>(sums.count);
  const bool undefined = std::isnan(sums.error2) || sums.error2 == 0;
  if (undefined)
    result.qsnr_db = sums.error2 == 0 && sums.sum2 > 0 ? std::numeric_limits<double>::infinity()
                                                       : std::numeric_limits<double>::quiet_NaN();
  else
    result.qsnr_db = 10 * std::log10(sums.sum2 / sums.error2);
  result.max_abs_error = std::isfinite(sums.error2) ? static_cast<double>(sums.max_error) : sums.error2;
  if (sums.count == 0) result.max_abs_error = std::numeric_limits<double>::quiet_NaN();
  return result;
}

QuantisationError quantisation_error(const float* x, const float* y, std::size_t n) {
  return quantisation_error(error_sums(x, y, n));
}

}  // namespace lowbit
