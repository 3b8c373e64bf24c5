#include "experiments/papers/int_vs_fp/imposed_crest.hpp"

#include <algorithm>
#include <cmath>

#include "formats/codec.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::int_vs_fp {
namespace {

/// Integrals of phi, x phi and x^2 phi from 0 to t.
struct Moments {
  double zeroth, first, second;
};

Moments moments_to(double t) {
  const double density = 0.3989422804014327 * portable_exp(-0.5 * t * t);
  const double mass = 0.5 * portable_erf(t * 0.7071067811865476);
  return {mass, 0.3989422804014327 - density, mass - t * density};
}

/// Mean square of N(0, 1) clipped to +-clip.
double clipped_power(double clip) {
  const Moments m = moments_to(clip);
  return 2 * (m.second + (0.5 - m.zeroth) * clip * clip);
}

/// Where to clip so that clip / rms(clipped body) = kappa.
double clip_for_crest(double kappa) {
  double low = 1e-3, high = 40;
  while (high - low > 1e-12 * high) {
    const double clip = 0.5 * (low + high);
    (clip < kappa * std::sqrt(clipped_power(clip)) ? low : high) = clip;
  }
  return low;
}

}  // namespace

CellModel::CellModel(const Element& element) {
  for (std::uint32_t code = 0; code < element.code_count(); ++code) {
    const double value = decode(element, code);
    if (std::isfinite(value) && value >= 0) values_.push_back(value);
  }
  std::sort(values_.begin(), values_.end());
  values_.erase(std::unique(values_.begin(), values_.end()), values_.end());  // +0 and -0
}

double CellModel::error_power(double clip, double scale) const {
  double error = 0;
  Moments low{0, 0, 0};
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const bool last = i + 1 == values_.size();
    const double value = values_[i] * scale, edge = last ? clip : 0.5 * (values_[i] + values_[i + 1]) * scale;
    const bool end = last || edge >= clip;
    const Moments high = moments_to(end ? clip : edge);
    error +=
        (high.second - low.second) - 2 * value * (high.first - low.first) + value * value * (high.zeroth - low.zeroth);
    if (end) return 2 * (error + (0.5 - high.zeroth) * (clip - value) * (clip - value));
    low = high;
  }
  return 2 * error;
}

double imposed_crest_qsnr(const CellModel& model, double kappa, const ImposedCrest& setting) {
  const bool clipped = setting.power == SignalPower::clipped_body;
  const double clip = clipped ? clip_for_crest(kappa) : kappa, signal = clipped ? clipped_power(clip) : 1;
  const auto error = [&](double rho) { return model.error_power(clip, rho * clip / model.largest()) / signal; };
  if (setting.rho) return -decibel(error(*setting.rho));
  double sum = 0;
  const auto steps = static_cast<double>(setting.steps);
  for (std::size_t i = 0; i < setting.steps; ++i) {
    const double one = error(portable_exp(0.6931471805599453 * (static_cast<double>(i) + 0.5) / steps));
    sum += setting.average_decibels ? -decibel(one) : one;
  }
  return setting.average_decibels ? sum / steps : -decibel(sum / steps);
}

}  // namespace lowbit::int_vs_fp
