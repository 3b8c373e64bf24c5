// @TITLE@: how the error of a rounded uniform number falls with the number of bits.
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/core/experiment.hpp"

namespace lowbit {
namespace {

/// `trials` numbers, uniform on [0, 1).
std::vector<double> draw(const Point& p, Rng rng) {
  std::vector<double> x(static_cast<std::size_t>(p.integer("trials")));
  for (double& v : x) v = rng.uniform();
  return x;
}

/// Squared error of rounding to the nearest multiple of 2^-bits, per number and on average.
Record compute(const Point& p, Rng) {
  const auto& x = p.shared<std::vector<double>>("x");
  const double step = std::ldexp(1.0, -static_cast<int>(p.integer("bits")));
  std::vector<double> squares;
  double sum = 0;
  for (double v : x) {
    const double error = std::nearbyint(v / step) * step - v;
    squares.push_back(error * error);
    sum += error * error;
  }
  return Record().set("mse", sum / static_cast<double>(x.size())).set("squared_error", squares);
}

std::vector<Row> report(const Results& r) {
  const double mse = r.at("mse", {{"bits", 8}, {"shape", "uniform"}});
  const auto squares = r.along("squared_error", "trial", {{"bits", 8}, {"shape", "uniform"}});
  // uniform error on [-step/2, step/2]: step^2 / 12
  return {{.quantity = "mse_8_bits_over_theory", .ours = mse * 12 * 65536, .interval = [&] {
             const Interval i = bootstrap_mean(squares, r.rng("mse"), 200);
             return Interval{i.low * 12 * 65536, i.high * 12 * 65536};
           }()}};
}

Experiment rounding() {
  return Experiment{"@SLUG@/rounding"}
      .paper("arXiv:0000.00000", "Fig. 1", "Error of rounding against the number of bits")
      .param("trials", 4096, "numbers per point", at_least(1))
      .axis("bits", integers({2, 4, 8}), "1", "bits after the binary point")
      .axis("shape", texts({"uniform"}), "", "distribution of the numbers")
      .dim(
          "trial", [](const Params& p) { return indices(static_cast<std::size_t>(p.integer("trials"))); }, "1",
          "number of the draw")
      .draws_vary_with({})
      .shared("x", {"shape"}, draw)
      .output("mse", "1", "mean (x - xq)^2")
      .narrow_output("squared_error", "1", "(x - xq)^2", {"trial"})
      .quick("trials=256 bits=2,8")
      .point(compute)
      .reference(
          {.quantity = "mse_8_bits_over_theory", .value = 1, .source = "step^2 / 12", .band = Interval{0.8, 1.2}})
      .rows(report);
}
LOWBIT_REGISTER(rounding);

}  // namespace
}  // namespace lowbit
