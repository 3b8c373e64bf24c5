// rcp/main and rcp/budget: the main table beside the published one, and the curve of fixed budgets.
#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/rcp/budget_curve.hpp"
#include "experiments/papers/rcp/estimates.hpp"
#include "experiments/papers/rcp/published.hpp"

namespace lowbit {
namespace {

using namespace rcp;

constexpr std::size_t kBudgetGrid = 64;
const std::vector<std::string> kMainDetectors{"full", "no-think",    kMatched, "deer", "consistency",
                                              "rank", "probability", "rcpd",   kOracle};

/// A profile's detectors and fixed budgets on the same traces.
struct ProfileRun {
  Population detectors, budgets;
  std::vector<double> grid;
};

ProfileRun make_profile_run(const Point& p, Rng rng) {
  ProfileRun run;
  const Rng same = rng;
  run.detectors = make_population(p, rng);
  std::vector<std::string> specs;
  for (std::size_t i = 0; i < kBudgetGrid; ++i) {
    run.grid.push_back(500.0 * static_cast<double>(i + 1));
    specs.push_back(fmt::format("budget:tokens={}", run.grid.back()));
  }
  Rng again = same;
  run.budgets = simulate(early_exit::profile(p.text("profile")), again.word64(), trace_count(p), specs);
  return run;
}

double mean_tokens(const std::vector<Outcome>& outcomes) {
  double sum = 0;
  for (const double v : totals(outcomes)) sum += v;
  return sum / static_cast<double>(outcomes.size());
}

BudgetPoint match(const ProfileRun& run, double tokens) {
  std::vector<BudgetPoint> curve;
  for (std::size_t i = 0; i < run.grid.size(); ++i) {
    const auto& outcomes = run.budgets.outcomes[i];
    curve.push_back({run.grid[i], mean_tokens(outcomes), accuracy(outcomes).value});
  }
  return matched_budget(curve, tokens);
}

/// Accuracy above the matched budget, its interval from the bootstrap of the two neighbouring budgets' mix.
Record over_budget(const ProfileRun& run, const std::vector<Outcome>& outcomes, const Weights& weights) {
  const BudgetPoint m = match(run, mean_tokens(outcomes));
  const auto above = std::lower_bound(run.grid.begin(), run.grid.end(), m.budget);
  const auto hi = static_cast<std::size_t>(
      std::min<std::ptrdiff_t>(above - run.grid.begin(), static_cast<std::ptrdiff_t>(run.grid.size()) - 1));
  const std::size_t lo = hi == 0 ? 0 : hi - 1;
  const double w = hi == lo ? 0 : std::clamp((m.budget - run.grid[lo]) / (run.grid[hi] - run.grid[lo]), 0.0, 1.0);
  std::vector<double> difference(outcomes.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const double fixed = (1 - w) * run.budgets.outcomes[lo][i].right + w * run.budgets.outcomes[hi][i].right;
    difference[i] = 100 * (outcomes[i].right - fixed);
  }
  const Estimate e = ratio(difference, {}, weights);
  return {{"over_budget", e.value},
          {"over_budget_low", e.interval.low},
          {"over_budget_high", e.interval.high},
          {"matched_budget", m.budget}};
}

Record compute_main(const Point& p, Rng) {
  const auto& run = p.shared<ProfileRun>("run");
  const auto& weights = p.shared<Weights>("weights");
  const auto& rcpd = run.detectors.of("rcpd");
  if (p.text("detector") == kMatched) {
    const BudgetPoint m = match(run, mean_tokens(rcpd));
    const double n = static_cast<double>(trace_count(p));
    const Interval w = wilson(std::round(m.accuracy / 100 * n), n);
    return {{"tokens", m.tokens},
            {"accuracy", m.accuracy},
            {"accuracy_low", 100 * w.low},
            {"accuracy_high", 100 * w.high},
            {"compression", 100 * m.tokens / mean_tokens(run.detectors.of("full"))},
            {"matched_budget", m.budget}};
  }
  const auto& outcomes = run.detectors.of(p.text("detector"));
  if (outcomes.empty()) return {};
  Record record = estimates(run.detectors, outcomes, weights);
  const Record over = over_budget(run, outcomes, weights);
  for (const auto& [name, values] : over.all()) record.set(name, values);
  const Estimate behind = accuracy_difference(run.detectors.of(kOracle), outcomes, weights);
  record.set("behind_oracle", behind.value)
      .set("behind_oracle_low", behind.interval.low)
      .set("behind_oracle_high", behind.interval.high);
  return record;
}

Coordinates cell(std::string_view profile, const std::string& detector) {
  return {{"profile", std::string(profile)}, {"detector", detector}};
}

void published_rows(RowList& rows) {
  const std::string fitted = "fitted: true, simulated; published value of another set of items";
  const auto add = [&](const PublishedRow& p, const char* method, const std::string& detector, double tokens,
                       double right) {
    const std::string name = std::string(p.profile) + " " + method + ", published";
    const std::string note = detector == "rcpd" || detector == "full" ? fitted : "simulated";
    // the matched budget is interpolated: its tokens are those of RCPD, its accuracy has a Wilson interval
    if (detector == kMatched)
      rows.add_exact({name + " tokens",
                      "tokens",
                      cell(p.profile, detector),
                      {},
                      tokens,
                      std::string(kMainTable),
                      "simulated; RCPD's tokens by construction"},
                     "tokens");
    else if (tokens > 0)
      rows.add({name + " tokens", "tokens", cell(p.profile, detector), {}, tokens, std::string(kMainTable), note});
    if (right > 0)
      rows.add({name + " accuracy", "accuracy", cell(p.profile, detector), {}, right, std::string(kMainTable), note});
  };
  for (const PublishedRow& p : published()) {
    add(p, "Full", "full", p.full_tokens, p.full_accuracy);
    add(p, "No-Think", "no-think", 0, p.no_think_accuracy);
    add(p, "BF", kMatched, p.budget_tokens, p.budget_accuracy);
    add(p, "DEER", "deer", p.deer_tokens, p.deer_accuracy);
    add(p, "RCPD", "rcpd", p.rcpd_tokens, p.rcpd_accuracy);
    rows.add({std::string(p.profile) + " RCPD, published CR",
              "compression",
              cell(p.profile, "rcpd"),
              {},
              p.rcpd_compression,
              std::string(kMainTable),
              fitted});
  }
}

std::vector<Row> main_rows(const Results& results) {
  RowList rows(results);
  for (const CalibrationRow& c : calibration()) {
    const std::string p(c.profile), fitted = "fitted: true, simulated";
    rows.add_run(p + " full", cell(p, "full"), c.full_tokens, c.full_accuracy, fitted);
    rows.add_run(p + " RCPD", cell(p, "rcpd"), c.rcpd_tokens, c.rcpd_accuracy, fitted);
    rows.add({p + " RCPD CR", "compression", cell(p, "rcpd"), Interval{c.rcpd_compression - 3, c.rcpd_compression + 3},
              c.rcpd_compression, std::string(kCalibration), fitted});
    rows.add({p + " RCPD minus full accuracy",
              "accuracy_gap",
              cell(p, "rcpd"),
              p == "qwen3-8b-gpqa" ? Interval{3, 6} : Interval{-2.5, 2.5},
              {},
              "",
              "evidence, simulated"});
    rows.add({p + " oracle minus RCPD accuracy",
              "behind_oracle",
              cell(p, "rcpd"),
              Interval{0, 100},
              {},
              "",
              "evidence, simulated"});
    rows.add_share(
        {p + " RCPD early stops", "early_share", cell(p, "rcpd"), Interval{5, 20}, {}, "", "evidence, simulated"});
    rows.add({p + " DEER CR", "compression", cell(p, "deer"), Interval{88, 99},
              p == "qwen3-8b" ? std::optional(90.0) : std::nullopt, p == "qwen3-8b" ? std::string(kCalibration) : "",
              "evidence, simulated"});
    rows.add_exact({p + " RCPD median delay",
                    "delay_median",
                    cell(p, "rcpd"),
                    Interval{0, 4},
                    {},
                    "",
                    "evidence, simulated; a median of whole numbers"},
                   "sentences");
    rows.add_exact({p + " RCPD traces that cost more tokens than full",
                    "beyond_full",
                    cell(p, "rcpd"),
                    {},
                    {},
                    "",
                    "simulated; thinking tokens never exceed those of full thinking"},
                   "%");
  }
  rows.add({"qwen3-8b RCPD minus matched budget accuracy", "over_budget", cell("qwen3-8b", "rcpd"), Interval{6, 11},
            10.07, std::string(kMainTable), "evidence, simulated; published 66.73 - 56.66"});
  rows.add({"qwen3-8b DEER accuracy", "accuracy", cell("qwen3-8b", "deer"), Interval{63.3, 66.3}, 64.8,
            std::string(kCalibration), "evidence, simulated"});
  rows.add_share({"qwen3-8b DEER early stops", "early_share", cell("qwen3-8b", "deer"), Interval{3.2, 6.2}, 4.7,
                  std::string(kCalibration), "evidence, simulated"});
  rows.add_run("qwen3-8b no-think", cell("qwen3-8b", "no-think"), 4600, 26.4, "evidence, simulated");
  rows.add_run("qwen3-8b oracle", cell("qwen3-8b", kOracle), 7992, 68.1, "evidence, simulated");
  published_rows(rows);
  return rows.take();
}

Experiment main_table() {
  Experiment e = declare("main", "main table", "tokens and accuracy of stopping rules, simulated");
  e.axis("profile", profile_axis(true), "", "model and benchmark mix that the generator stands for")
      .axis("detector", detector_axis(kMainDetectors), "", "stopping rule")
      .draws_vary_with({"profile"})
      .shared("run", {"profile"}, make_profile_run)
      .shared("weights", {}, make_weights);
  with_estimates(e)
      .output("over_budget", "points", "accuracy minus that of the fixed budget with the same mean tokens")
      .output("over_budget_low", "points", "2.5 % quantile, paired Poisson bootstrap")
      .output("over_budget_high", "points", "97.5 % quantile")
      .output("matched_budget", "tokens", "that budget, interpolated on a grid of 64")
      .output("behind_oracle", "points", "accuracy of the stop at k_RCP minus this one, paired")
      .output("behind_oracle_low", "points", "2.5 % quantile, paired Poisson bootstrap")
      .output("behind_oracle_high", "points", "97.5 % quantile");
  return e.quick("traces=500").cost(40).point(compute_main).rows(main_rows);
}
LOWBIT_REGISTER(main_table);

std::vector<Row> budget_rows(const Results& results) {
  struct Published {
    int budget;
    double tokens, accuracy;
  };
  RowList rows(results);
  for (const Published& b :
       {Published{4000, 6841, 53.1}, {5000, 7436, 56.4}, {6000, 8046, 58.4}, {7000, 8641, 60.1}, {8000, 9208, 61.2}}) {
    rows.add_run(fmt::format("qwen3-8b budget {}", b.budget),
                 cell("qwen3-8b", fmt::format("budget:tokens={}", b.budget)), b.tokens, b.accuracy,
                 "evidence, simulated");
  }
  return rows.take();
}

Experiment budget() {
  std::vector<std::string> detectors{"no-think"};
  for (const int b : {1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 10000, 12000, 16000, 20000, 24000, 32000}) {
    detectors.push_back(fmt::format("budget:tokens={}", b));
  }
  detectors.insert(detectors.end(), {"deer", "rcpd", kOracle});
  Experiment e = declare("budget", "budget figure", "accuracy and content tokens against a fixed budget, simulated");
  e.axis("profile", profile_axis(false), "", "model and benchmark mix that the generator stands for")
      .axis("detector", detector_axis(detectors), "", "stopping rule")
      .draws_vary_with({"profile"})
      .shared("population", {"profile"}, make_population)
      .shared("weights", {}, make_weights);
  with_estimates(e);
  return e.quick("traces=500")
      .cost(5)
      .point(compute_population)
      .reference_table({"forced_budget",
                        "arXiv:2508.17627 v2, forced-budget figure, read off",
                        {{"budget", {0, 1000, 2000, 4000, 8000, 12000, 16000, 32000}},
                         {"accuracy", {20.0, 56.7, 56.7, 66.7, 73.3, 73.3, 73.3, 80.0}},
                         {"content_tokens", {4463, 5803, 3563, 4668, 4151, 1741, 1244, 1227}}}})
      .rows(budget_rows);
}
LOWBIT_REGISTER(budget);

}  // namespace
}  // namespace lowbit
