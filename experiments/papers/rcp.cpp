// Early exit from reasoning: RCPD and its competitors (arXiv 2508.17627, "The Evolution of Thought", v2; v1 "Stop
// Spinning Wheels"). What stopping rules save and cost on simulated traces. The generator was fitted to the published
// main table: rows that compare with it are marked "fitted: true"; evidence are those on which it was not fitted
// (single rules, the gap to budget forcing, delay, early stops, noise). Main table and budget curve:
// rcp/main_table.cpp; rank noise: rcp/rank_noise.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/rcp/estimates.hpp"
#include "experiments/papers/rcp/published.hpp"

namespace lowbit {
namespace {

using namespace rcp;

Coordinates cell(const std::string& detector) {
  return {{"profile", "qwen3-8b"}, {"detector", detector}};
}

/// An experiment whose points are detectors on one population a profile.
Experiment sweep(const std::string& figure, const std::string& published_as, const std::string& title,
                 std::vector<std::string> detectors) {
  Experiment e = declare(figure, published_as, title);
  e.axis("profile", profile_axis(false), "", "model and benchmark mix that the generator stands for")
      .axis("detector", detector_axis(std::move(detectors)), "", "stopping rule")
      .draws_vary_with({"profile"})
      .shared("population", {"profile"}, make_population)
      .shared("weights", {}, make_weights);
  with_estimates(e);
  return e.quick("traces=500").cost(5).point(compute_population);
}

std::vector<Row> ablation_rows(const Results& results) {
  struct Published {
    const char *name, *detector;
    double tokens, accuracy, early;
  };
  RowList rows(results);
  const std::string source(kCalibration), note = "evidence, simulated";
  for (const Published& r : {Published{"C_sat alone", "rcpd:rules=1", 8050, 67.5, 5},
                             {"C_conv alone", "rcpd:rules=2", 7968, 67.3, 6},
                             {"C_short alone", "rcpd:rules=4", 8096, 67.7, 4},
                             {"C_long alone", "rcpd:rules=8", 8277, 67.7, 2.5},
                             {"all four rules", "rcpd", 7860, 66.9, 10}}) {
    rows.add_run(r.name, cell(r.detector), r.tokens, r.accuracy, note);
    rows.add_share({std::string(r.name) + " early stops", "early_share", cell(r.detector),
                    Interval{r.early - 1.5, r.early + 1.5}, r.early, source, note});
  }
  rows.add_run("R = 1 alone", cell("rank:at=1"), 8914, 67.4, note);
  const auto delay = [&](const std::string& quantity, const char* detector, double published, double margin) {
    rows.add_exact({quantity, "delay_mean", cell(detector), Interval{published - margin, published + margin}, published,
                    source, note + "; of this population of traces"},
                   "sentences");
  };
  delay("all four rules mean delay", "rcpd", 3.4, 0.3);
  delay("R = 1 alone mean delay", "rank:at=1", 31, 3);
  // C_sat is one OR-term, so RCPD can never stop later than the top-5 rule at sentence ends
  rows.add({"top-5 rule at sentence ends, published",
            "accuracy",
            cell("rank"),
            {},
            published().front().top5_accuracy,
            "arXiv:2508.17627 v2, ablation, Qwen3-8B",
            "simulated; where the paper evaluates this rule is not stated; at sentence ends it equals C_sat alone"});
  return rows.take();
}

Experiment ablation() {
  return sweep("ablation", "ablation table", "RCPD's rules one by one, simulated",
               {"rcpd:rules=1", "rcpd:rules=2", "rcpd:rules=4", "rcpd:rules=8", "rcpd:rules=14", "rcpd:rules=13",
                "rcpd:rules=11", "rcpd:rules=7", "rcpd", "rank", "rank:at=1"})
      .rows(ablation_rows);
}
LOWBIT_REGISTER(ablation);

struct ScalePoint {
  double scale, accuracy, tokens;
};
constexpr ScalePoint kScales[] = {{0.25, 67.8, 8435}, {0.35, 68.0, 8278}, {0.5, 68.0, 8135},
                                  {0.7, 67.8, 8012},  {1, 66.9, 7838},    {1.4, 65.3, 7594},
                                  {2, 60.9, 7174},    {2.8, 53.8, 6689},  {4, 44.7, 6243}};

std::string scaled(double scale) {
  return fmt::format("rcpd:scale={}", scale);
}

/// 1 where each value is below the one before, else 0; NaN (not run) where one of them is missing.
double falls(const std::vector<double>& values) {
  if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) return NAN;
  return std::adjacent_find(values.begin(), values.end(), std::less_equal<>()) == values.end() ? 1 : 0;
}

std::vector<Row> threshold_rows(const Results& results) {
  RowList rows(results);
  std::vector<double> tokens, accuracies;
  for (const ScalePoint& s : kScales) {
    const Coordinates where = cell(scaled(s.scale));
    rows.add_run(fmt::format("scale {}", s.scale), where, s.tokens, s.accuracy, "evidence, simulated");
    tokens.push_back(rows.at("tokens", where));
    if (s.scale >= 0.7) accuracies.push_back(rows.at("accuracy", where));
  }
  const auto claim = [&](const char* quantity, double holds) {  // an order of means: of the full number of traces
    Row row;
    row.quantity = quantity;
    row.ours = holds;
    row.exact = true;
    if (rows.traces() >= kBandTraces) row.band = Interval{1, 1};
    row.note = "1: it does; evidence, simulated, all thresholds on the same traces";
    rows.add(row);
  };
  claim("tokens fall over the whole sweep", falls(tokens));
  claim("accuracy falls from scale 0.7 on", falls(accuracies));
  return rows.take();
}

Experiment thresholds() {
  std::vector<std::string> detectors;
  for (const ScalePoint& s : kScales) detectors.push_back(scaled(s.scale));
  return sweep("thresholds", "threshold sweep", "all thresholds of RCPD scaled together, simulated", detectors)
      .rows(threshold_rows);
}
LOWBIT_REGISTER(thresholds);

// ---- detection of k_RCP ----

Record compute_detection(const Point& p, Rng) {
  const auto& population = p.shared<Population>("population");
  const auto& outcomes = population.of(p.text("detector"));
  const auto window = static_cast<std::int32_t>(p.integer("window"));
  double stops = 0, hits = 0, labelled = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const std::int32_t k = population.traces[i].k_rcp;
    labelled += k != 0;
    stops += outcomes[i].by_detector;
    hits += outcomes[i].by_detector && k != 0 && std::abs(outcomes[i].sentences - k) <= window;
  }
  const Interval precision = wilson(hits, stops), recall = wilson(hits, labelled);
  return {{"precision", 100 * hits / stops},        {"precision_low", 100 * precision.low},
          {"precision_high", 100 * precision.high}, {"recall", 100 * hits / labelled},
          {"recall_low", 100 * recall.low},         {"recall_high", 100 * recall.high},
          {"f1", 200 * hits / (stops + labelled)}};
}

std::vector<Row> detection_rows(const Results& results) {
  RowList rows(results);
  for (const char* detector : {"rcpd", "rank", "probability", "deer"}) {
    rows.add({std::string(detector) + " precision",
              "precision",
              cell(detector),
              {},
              {},
              "",
              "simulated; not reported in the paper"});
    rows.add({std::string(detector) + " recall",
              "recall",
              cell(detector),
              {},
              {},
              "",
              "simulated; not reported in the paper"});
  }
  return rows.take();
}

Experiment detection() {
  Experiment e = declare("detection", "", "precision and recall of the stop against k_RCP, simulated");
  return e.param("window", 5, "sentences around k_RCP that count as found", between(0, 1000))
      .axis("profile", profile_axis(true), "", "model and benchmark mix that the generator stands for")
      .axis("detector",
            detector_axis({"rcpd", "rcpd:rules=1", "rcpd:rules=2", "rcpd:rules=4", "rcpd:rules=8", "rank", "rank:at=1",
                           "probability", "deer"}),
            "", "stopping rule")
      .draws_vary_with({"profile"})
      .shared("population", {"profile"}, make_population)
      .output("precision", "%", "stops within the window around k_RCP / stops of the detector")
      .output("precision_low", "%", "Wilson interval, 95 %")
      .output("precision_high", "%", "Wilson interval, 95 %")
      .output("recall", "%", "stops within the window / traces that reach k_RCP")
      .output("recall_low", "%", "Wilson interval, 95 %")
      .output("recall_high", "%", "Wilson interval, 95 %")
      .output("f1", "%", "harmonic mean of precision and recall")
      .quick("traces=500")
      .cost(20)
      .point(compute_detection)
      .rows(detection_rows);
}
LOWBIT_REGISTER(detection);

}  // namespace
}  // namespace lowbit
