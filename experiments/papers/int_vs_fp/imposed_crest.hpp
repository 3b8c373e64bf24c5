// Quantisation error of Gaussian data at an imposed crest factor and scale overhead, by exact integration over the
// cells of the element's codes: the theory's setting without its approximations.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "formats/element.hpp"

namespace lowbit::int_vs_fp {

/// What the error power is divided by.
enum class SignalPower {
  nominal,      ///< sigma^2 = 1
  clipped_body  ///< mean square of the data after clipping to +-kappa (kappa is then measured in its root, too)
};

/// An element as positive code values, ascending from 0, with the cell edges between them.
class CellModel {
 public:
  explicit CellModel(const Element& element);
  /// E (x - q(x))^2 for x ~ N(0, 1) clipped to +-clip and quantised with step factor `scale`.
  double error_power(double clip, double scale) const;
  double largest() const { return values_.back(); }

 private:
  std::vector<double> values_;
};

/// How imposed_crest_qsnr averages and measures.
struct ImposedCrest {
  std::optional<double> rho;      ///< scale overhead; none: log-uniform on [1, 2), `steps` midpoints
  bool average_decibels = false;  ///< average the dB over rho instead of the error power
  SignalPower power = SignalPower::nominal;
  std::size_t steps = 128;
};

/// QSNR in dB at crest factor kappa: values beyond +-kappa sigma set there, scale = rho kappa sigma / max from an
/// external block maximum that is itself not counted.
double imposed_crest_qsnr(const CellModel& model, double kappa, const ImposedCrest& setting = {});

}  // namespace lowbit::int_vs_fp
