#include "experiments/papers/mr_gptq/error_theory.hpp"

#include <array>
#include <cmath>

#include "sim/portable_math.hpp"

namespace lowbit::mr_gptq {
namespace {

// |X| beyond 24 has a probability below 4e-15 for both sources.
constexpr double kEnd = 24;
constexpr std::size_t kSteps = 12000;

// Gauss-Legendre, 8 points on [-1, 1]: positive halves.
constexpr std::array<double, 4> kNodes{0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
constexpr std::array<double, 4> kWeights{0.3626837833783620, 0.3137066458778873, 0.2223810344533745,
                                         0.1012285362903763};

template <class Function>
double gauss(double low, double high, Function f) {
  const double half = (high - low) / 2, middle = (high + low) / 2;
  double sum = 0;
  for (std::size_t i = 0; i < kNodes.size(); ++i)
    sum += kWeights[i] * (f(middle - half * kNodes[i]) + f(middle + half * kNodes[i]));
  return sum * half;
}

double density(bool laplace, double x) {
  if (laplace) return 1.4142135623730951 * portable_exp(-1.4142135623730951 * x);
  return 0.7978845608028654 * portable_exp(-0.5 * x * x);
}
double distribution(bool laplace, double x) {
  return laplace ? 1 - portable_exp(-1.4142135623730951 * x) : portable_erf(x * 0.7071067811865476);
}

std::vector<double> grid_of(std::string_view element) {
  if (element == "int4") return {0, 1, 2, 3, 4, 5, 6, 7};
  return {0, 0.5, 1, 1.5, 2, 3, 4, 6};
}

/// int (x - Q_s(x))^2 f(x) dx over [0, s], grid scaled so that its top is s; cells are cut so that f is smooth on them.
double error_within(bool laplace, const std::vector<double>& grid, double s) {
  double sum = 0;
  const double unit = s / grid.back();
  for (std::size_t i = 0; i < grid.size(); ++i) {
    const double value = grid[i] * unit;
    const double low = i == 0 ? 0 : (grid[i - 1] + grid[i]) / 2 * unit;
    const double high = i + 1 == grid.size() ? s : (grid[i] + grid[i + 1]) / 2 * unit;
    const int pieces = 1 + static_cast<int>(high - low);
    for (int k = 0; k < pieces; ++k)
      sum += gauss(low + (high - low) * k / pieces, low + (high - low) * (k + 1) / pieces,
                   [&](double x) { return (x - value) * (x - value) * density(laplace, x); });
  }
  return sum;
}

}  // namespace

ErrorTheory::ErrorTheory(std::string_view source, std::string_view element) : step_(kEnd / kSteps) {
  const bool laplace = source == "laplace";
  const std::vector<double> grid = grid_of(element);
  delta_ = grid[1] / grid.back() / 2;
  for (std::size_t i = 0; i <= kSteps; ++i) {
    const double s = step_ * static_cast<double>(i);
    density_.push_back(density(laplace, s));
    distribution_.push_back(distribution(laplace, s));
    error_.push_back(error_within(laplace, grid, s));
    dead_.push_back(gauss(0, delta_ * s, [&](double x) { return x * x * density(laplace, x); }));
  }
}

double ErrorTheory::integrate(const std::vector<double>& inner, double group) const {
  double sum = 0;
  for (std::size_t i = 0; i <= kSteps; ++i) {
    const double weight = i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2;
    sum += weight * std::pow(distribution_[i], group - 2) * density_[i] * inner[i];
  }
  return (group - 1) * sum * step_ / 3;
}

double ErrorTheory::mse(double group) const {
  return integrate(error_, group);
}

double ErrorTheory::dead_energy(double group) const {
  return integrate(dead_, group);
}

double top_error_log_uniform(double low) {
  constexpr std::array<double, 8> kValues{0, 0.5, 1, 1.5, 2, 3, 4, 6};
  double sum = 0;
  const double high = 2 * low;
  for (std::size_t i = 0; i < kValues.size(); ++i) {
    const double from = std::max(low, i == 0 ? 0 : (kValues[i - 1] + kValues[i]) / 2);
    const double to = std::min(high, i + 1 == kValues.size() ? high : (kValues[i] + kValues[i + 1]) / 2);
    if (to <= from) continue;
    sum += gauss(from, to, [&](double x) {
      const double relative = (x - kValues[i]) / x;
      return relative * relative / x;
    });
  }
  return sum / 0.6931471805599453;
}

}  // namespace lowbit::mr_gptq
