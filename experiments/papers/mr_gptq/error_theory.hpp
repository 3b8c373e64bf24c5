// Definitions 1 to 3 of MR-GPTQ evaluated by quadrature: errors of groups of independent values under their absmax
// scale.
#pragma once
#include <string_view>
#include <vector>

namespace lowbit::mr_gptq {

/// One pair of a unit-variance source ("normal", "laplace") and a symmetric grid ("e2m1", "int4": -7 .. 7), scaled so
/// that the largest magnitude of a group is the largest value of the grid; the scale is not rounded.
class ErrorTheory {
 public:
  ErrorTheory(std::string_view source, std::string_view element);

  /// MSE(G) = E (X_1 - Y_1)^2 of a group of G >= 2 values: (G - 1) int F(s)^(G-2) f(s) D(s) ds with F, f distribution
  /// and density of |X| and D(s) = int_0^s (x - Q_s(x))^2 f(x) dx. Simpson's rule; relative error below 1e-6.
  double mse(double group) const;
  /// E[X^2 1(|X| < delta s)]: energy of the values that become zero; delta is half the smallest value of the grid.
  double dead_energy(double group) const;
  /// Lemma 2's R(G) = 1 - MSE(G), taken there as the energy outside of the dead zone: 1 - dead_energy(G).
  double preserved(double group) const { return 1 - dead_energy(group); }
  /// Half width of the dead zone relative to the scale: 1/24 (E2M1), 1/14 (INT4).
  double delta() const { return delta_; }

 private:
  double integrate(const std::vector<double>& inner, double group) const;

  double delta_;
  double step_;
  std::vector<double> density_, distribution_, error_, dead_;  ///< at s = i step
};

/// E[((x - Q(x)) / x)^2] of a largest value that lies log-uniformly in [low, 2 low) steps of E2M1's unit: the unrotated
/// top_rel under power-of-two scales (FP-Quant: low = 3).
double top_error_log_uniform(double low);

}  // namespace lowbit::mr_gptq
