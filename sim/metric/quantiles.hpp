// Order statistics of a sample.
#pragma once
#include <vector>

namespace lowbit {

/// The five numbers of a box plot. All NaN for an empty sample or one that holds a NaN.
struct Quantiles {
  double min, q1, median, q3, max;
};

/// Linear interpolation between order statistics at (n - 1) p (type 7 of Hyndman and Fan 1996, the default of NumPy).
Quantiles quantiles(std::vector<double> sample);

}  // namespace lowbit
