// Statistics of rcp against closed forms and hand-made populations; coverage of what the calibration run lists.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <set>
#include <string>

#include "experiments/core/bootstrap.hpp"
#include "experiments/core/experiment.hpp"
#include "experiments/papers/rcp/budget_curve.hpp"
#include "experiments/papers/rcp/estimates.hpp"
#include "experiments/papers/rcp/population.hpp"
#include "experiments/papers/rcp/published.hpp"
#include "experiments/papers/rcp/tree.hpp"
#include "sim/early_exit/registry.hpp"
#include "sim/early_exit/trace_file.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::rcp;

namespace {

Outcome outcome(float think, float content, bool right, std::int32_t sentences = 10, bool by_detector = true) {
  Outcome o;
  o.think = think, o.content = content, o.sentences = sentences, o.right = right, o.by_detector = by_detector;
  return o;
}

}  // namespace

TEST_CASE("bootstrap weights are Poisson with mean 1", "[rcp]") {
  const std::size_t traces = 4000, replicates = 200;
  const Weights weights(7, traces, replicates);
  std::array<double, 16> count{};
  double sum = 0;
  for (std::size_t i = 0; i < traces; ++i)
    for (std::size_t r = 0; r < replicates; ++r) {
      const auto w = weights.at(i, r);
      REQUIRE(w < count.size());
      ++count[w];
      sum += w;
    }
  const double n = static_cast<double>(traces * replicates);
  CHECK(sum / n == Approx(1).margin(5 / std::sqrt(n)));  // 5 standard errors
  double p = std::exp(-1.0);
  for (int k = 0; k < 6; ++k, p /= k) {
    CAPTURE(k);
    CHECK(count[static_cast<std::size_t>(k)] / n == Approx(p).margin(5 * std::sqrt(p * (1 - p) / n)));
  }
}

TEST_CASE("bootstrap weights of a trace depend on seed, trace and replicate alone", "[rcp]") {
  const Weights few(3, 10, 8), many(3, 100, 200), other(4, 100, 200);
  std::size_t differing = 0;
  for (std::size_t i = 0; i < 10; ++i)
    for (std::size_t r = 0; r < 8; ++r) {
      CHECK(few.at(i, r) == many.at(i, r));
      differing += few.at(i, r) != other.at(i, r);
    }
  CHECK(differing > 20);
}

TEST_CASE("a ratio of means and its bootstrap interval", "[rcp]") {
  const std::size_t n = 20000;
  const Weights weights(11, n, 200);
  std::vector<double> values(n), twice(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(i % 100), twice[i] = 2 * values[i];
  const Estimate mean = ratio(values, {}, weights);
  CHECK(mean.value == Approx(49.5));
  // the mean of n values: variance (100^2 - 1) / 12; the interval has 200 replicates, so 12 % on its width
  const double width = 2 * 1.96 * std::sqrt(9999.0 / 12 / static_cast<double>(n));
  CHECK(mean.interval.high - mean.interval.low == Approx(width).epsilon(0.3));
  // numerator and denominator are resampled together: a constant ratio has no spread
  const Estimate paired = ratio(twice, values, weights);
  CHECK(paired.value == Approx(2));
  CHECK(paired.interval.low == Approx(2));
  CHECK(paired.interval.high == Approx(2));
}

TEST_CASE("accuracies have Wilson's interval", "[rcp]") {
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 30; ++i) outcomes.push_back(outcome(1, 1, i < 20));
  const Estimate e = accuracy(outcomes);
  CHECK(e.value == Approx(100.0 * 20 / 30));
  // (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), evaluated by hand for 20 of 30: 0.4878, 0.8077
  CHECK(e.interval.low == Approx(48.78).margin(0.01));
  CHECK(e.interval.high == Approx(80.77).margin(0.01));
}

TEST_CASE("differences of accuracy are paired by trace", "[rcp]") {
  std::vector<Outcome> a, b;
  for (int i = 0; i < 400; ++i) {
    a.push_back(outcome(1, 1, i % 2 == 0));
    b.push_back(outcome(1, 1, i % 2 == 0 && i % 8 != 0));
  }
  const Weights weights(5, a.size(), 200);
  CHECK(accuracy_difference(a, a, weights).interval.high == 0);
  const Estimate gap = accuracy_difference(a, b, weights);
  CHECK(gap.value == Approx(12.5));
  CHECK(gap.interval.low > 8);
  CHECK(gap.interval.high < 17);
}

TEST_CASE("early stops and delays count only what the detector stopped", "[rcp]") {
  const std::vector<TraceFacts> traces{{100, 50}, {100, 50}, {100, 50}, {100, 0}, {100, 50}};
  const std::vector<Outcome> outcomes{
      outcome(1, 1, true, 49),          // before k_RCP
      outcome(1, 1, true, 50),          // at it: delay 0
      outcome(1, 1, true, 60),          // delay 10
      outcome(1, 1, true, 20),          // stopped by the rule in a trace that was cut off before k_RCP: early
      outcome(1, 1, true, 100, false),  // natural end: neither
  };
  const Timing t = timing(outcomes, traces);
  CHECK(t.early == Approx(40));
  CHECK(t.delay_median == Approx(5));
  CHECK(t.delay_mean == Approx(5));
}

TEST_CASE("the matched budget is interpolated between its neighbours", "[rcp]") {
  const std::vector<BudgetPoint> curve{{1000, 2000, 40}, {2000, 3000, 50}, {3000, 5000, 60}, {4000, 5000, 60}};
  const auto check = [&](double tokens, double budget, double accuracy) {
    const BudgetPoint m = matched_budget(curve, tokens);
    CAPTURE(tokens);
    CHECK(m.budget == Approx(budget));
    CHECK(m.accuracy == Approx(accuracy));
  };
  check(2500, 1500, 45);
  check(3000, 2000, 50);
  check(4000, 2500, 55);
  check(100, 1000, 40);    // below the curve: its end
  check(99999, 4000, 60);  // above it; the last two cost the same
}

TEST_CASE("the tree finds a boundary that separates the classes", "[rcp]") {
  std::vector<Sample> data;
  for (int i = 0; i < 4000; ++i) {
    Sample s{};
    for (std::size_t f = 0; f < kHistory; ++f) s.x[f] = static_cast<float>((i * 37 + static_cast<int>(f) * 911) % 1000);
    s.x[2] = static_cast<float>(i % 2 == 0 ? 1 + i % 40 : 60 + i % 500);
    s.converged = i % 2 == 0;
    data.push_back(s);
  }
  const Tree tree(data, {});
  std::size_t wrong = 0;
  for (const Sample& s : data) wrong += tree.stops(s.x) != s.converged;
  CHECK(wrong == 0);
  CHECK(tree.importance()[2] == Approx(1));
  std::vector<Sample> one(1000, Sample{{}, true});
  CHECK(Tree(one, {}).stops(Features{}));
}

TEST_CASE("no detector thinks longer than the trace; the oracle stops at the completion point", "[rcp]") {
  const Population p = simulate(early_exit::profile("qwen3-8b"), 3, 300,
                                {"full", "rcpd", "rank", "rank:at=1", "probability", "deer", "consistency",
                                 "budget:tokens=6000", "no-think", kOracle});
  const auto& full = p.of("full");
  for (const auto& detector : p.detectors)
    for (std::size_t i = 0; i < full.size(); ++i) {
      REQUIRE(p.of(detector)[i].think <= full[i].think);
      REQUIRE(p.of(detector)[i].sentences <= p.traces[i].sentences);
    }
  for (std::size_t i = 0; i < full.size(); ++i)
    if (p.traces[i].k_rcp != 0) CHECK(p.of(kOracle)[i].sentences == p.traces[i].k_rcp);
}

TEST_CASE("every generated trace passes the checks of the file format", "[rcp]") {
  for (const auto& profile : early_exit::profiles())
    for (std::uint64_t id = 0; id < 200; ++id) {
      const auto trace = early_exit::generate(profile, 9, id).trace;
      const auto problem = early_exit::check(trace);
      INFO(profile.name << " trace " << id << (problem ? ": " + problem->field + " " + problem->text : ""));
      REQUIRE_FALSE(problem);
    }
}

TEST_CASE("bands widen with fewer traces as sampling does", "[rcp]") {
  CHECK(band_scale(20000) == 1);
  CHECK(band_scale(80000) == 1);
  CHECK(band_scale(5000) == Approx(2));
  CHECK(band_scale(200) == Approx(10));
}
