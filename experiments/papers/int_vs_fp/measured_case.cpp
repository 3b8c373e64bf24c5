#include "experiments/papers/int_vs_fp/measured_case.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "experiments/papers/int_vs_fp/crossover.hpp"
#include "experiments/papers/int_vs_fp/imposed_crest.hpp"
#include "experiments/papers/int_vs_fp/theory.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr double kRmsRho = 1.4710694612516886;  // sqrt(1.5 / ln 2): rho log-uniform on [1, 2)

/// Points of the computed curves: 1.1, 1.2, ..., 12.
std::vector<double> kappa_grid() {
  std::vector<double> grid;
  for (int i = 11; i <= 120; ++i) grid.push_back(i / 10.0);
  return grid;
}

/// Curves on the grid and their crossover, refined by bisection between the grid points around it.
template <class Integer, class Floating>
MeasuredCurves computed_curves(Integer integer, Floating floating) {
  MeasuredCurves curves;
  curves.kappa = kappa_grid();
  std::vector<DifferencePoint> points;
  for (const double kappa : curves.kappa) {
    curves.integer.push_back(integer(kappa));
    curves.floating.push_back(floating(kappa));
    points.push_back({kappa, curves.integer.back() - curves.floating.back()});
  }
  curves.sign_changes = sign_changes(points);
  const double start = falling_crossover(points);
  curves.crossover = curves.crossover_qsnr = std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(start)) return curves;
  double low = std::floor(start * 10) / 10, high = low + 0.1;
  while (high - low > 1e-5) {
    const double middle = 0.5 * (low + high);
    (integer(middle) > floating(middle) ? low : high) = middle;
  }
  curves.crossover = low;
  curves.crossover_qsnr = floating(low);
  return curves;
}

const Element& element_of(std::string_view preset) {
  return *parse_format(preset).element;
}

}  // namespace

const std::vector<MeasuredCase>& measured_cases() {
  static const std::vector<MeasuredCase> cases{
      {"theory", Method::theory, "figure"},
      {"theory_rho", Method::theory, "rho"},
      {"theory_q", Method::theory, "q"},
      {"theory_corrected", Method::theory, "corrected"},
      {"A", Method::imposed_crest, "averaged"},
      {"A_mean_db", Method::imposed_crest, "mean_db"},
      {"A_clipped_body", Method::imposed_crest, "clipped_body"},
      {"A_rho_1.5", Method::imposed_crest, "rho_1.5"},
      {"B:gaussian", Method::blocks, "gaussian"},
      {"B:laplace", Method::blocks, "laplace"},
      {"B:t:dof=3", Method::blocks, "t:dof=3"},
      {"B:row_outlier", Method::blocks, "row_outlier"},
      {"B:row_outlier:g64", Method::blocks, "row_outlier", 64},
      {"B:row_outlier:g128", Method::blocks, "row_outlier", 128},
      {"B:row_outlier:g256", Method::blocks, "row_outlier", 256},
      {"B:row_outlier:g512", Method::blocks, "row_outlier", 512},
      {"C:t", Method::tensors, "t"},
      {"C:generalised_gaussian", Method::tensors, "generalised_gaussian"},
      {"C:channel_scales", Method::tensors, "channel_scales"},
  };
  return cases;
}

const MeasuredCase& measured_case(std::string_view name) {
  const auto& cases = measured_cases();
  const auto found = std::find_if(cases.begin(), cases.end(), [&](const auto& c) { return c.name == name; });
  if (found == cases.end()) throw std::logic_error("no case '" + std::string(name) + "'");
  return *found;
}

bool applies(const MeasuredCase& measured, const Pair& pair) {
  if (measured.method == Method::imposed_crest) return pair.group == 32;
  return measured.group == 0 || pair.name == "mx8";
}

MeasuredCurves theory_curves(const MeasuredCase& measured, const Pair& pair) {
  const auto &integer = theory_format(pair.integer), &floating = theory_format(pair.floating);
  TheoryVariant variant{figure_rho(integer)};
  if (measured.variant == "rho" || measured.variant == "corrected") variant.rho = integer.e4m3_scale ? 1 : kRmsRho;
  if (measured.variant == "q" || measured.variant == "corrected") variant.constant = IntegerConstant::exact_q;
  if (measured.variant == "corrected") variant.inverse_square_phase = kLogUniformPhase;
  return computed_curves([&](double kappa) { return theory_qsnr(integer, kappa, variant); },
                         [&](double kappa) { return theory_qsnr(floating, kappa, variant); });
}

MeasuredCurves imposed_crest_curves(const MeasuredCase& measured, const Pair& pair) {
  ImposedCrest setting;
  if (measured.variant == "rho_1.5") setting.rho = 1.5;
  if (measured.variant == "mean_db") setting.average_decibels = true;
  if (measured.variant == "clipped_body") setting.power = SignalPower::clipped_body;
  const CellModel integer(element_of(pair.integer)), floating(element_of(pair.floating));
  return computed_curves([&](double kappa) { return imposed_crest_qsnr(integer, kappa, setting); },
                         [&](double kappa) { return imposed_crest_qsnr(floating, kappa, setting); });
}

}  // namespace lowbit::int_vs_fp
