// rcp/recorded: stopping rules on the user's own traces.
#include <fmt/format.h>

#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/rcp/estimates.hpp"
#include "experiments/papers/rcp/published.hpp"
#include "experiments/papers/rcp/recording.hpp"

namespace lowbit {
namespace {

using namespace rcp;

const std::vector<std::string> kRules{
    "full",           "rcpd",        "rcpd:rules=1",       "rcpd:rules=2",       "rcpd:rules=4",        "rcpd:rules=8",
    "rank",           "rank:at=1",   "token-rank",         "probability",        "logit-boost",         "deer",
    "deer-geometric", "consistency", "budget:tokens=4000", "budget:tokens=8000", "budget:tokens=16000", kOracle};

Recording make_recording(const Point& p, Rng) {
  return read_recording(p.text("traces_file"), texts_of(p.coordinates("detector")), 1);
}

std::uint64_t make_seed(const Point&, Rng rng) {
  return rng.word64();
}

Record compute_recorded(const Point& p, Rng) {
  const auto& recording = p.shared<Recording>("recording");
  const auto seed = p.shared<std::uint64_t>("seed");
  const auto& stops = recording.of(p.text("detector"));
  const KnownAccuracy known = known_accuracy(stops);
  const Estimate think = think_share(recording, stops, seed), total = total_share(recording, stops, seed);
  double stopped = 0, labelled = 0, early = 0;
  for (std::size_t i = 0; i < stops.size(); ++i) {
    stopped += stops[i].by_detector;
    const bool label = stops[i].available && recording.k_rcp[i] != 0;
    labelled += label;
    early += label && stops[i].by_detector && stops[i].sentences < recording.k_rcp[i];
  }
  const Interval w = wilson(early, labelled);
  return {{"traces_available", known.available},
          {"traces_known", known.known},
          {"traces_simulated", static_cast<double>(recording.simulated)},
          {"think_share", think.value},
          {"think_share_low", think.interval.low},
          {"think_share_high", think.interval.high},
          {"total_share", total.value},
          {"total_share_low", total.interval.low},
          {"total_share_high", total.interval.high},
          {"accuracy", known.accuracy.value},
          {"accuracy_low", known.accuracy.interval.low},
          {"accuracy_high", known.accuracy.interval.high},
          {"accuracy_worst", known.worst},
          {"accuracy_best", known.best},
          {"stopped", known.available > 0 ? 100 * stopped / known.available : NAN},
          {"early_share", labelled > 0 ? 100 * early / labelled : NAN},
          {"early_share_low", 100 * w.low},
          {"early_share_high", 100 * w.high}};
}

std::vector<Row> recorded_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Value& detector : results.coordinates("detector")) {
    const Coordinates where{{"detector", detector}};
    const auto at = [&](const std::string& output) { return results.at(output, where); };
    const auto add = [&](const std::string& quantity, const std::string& output, const std::string& note) {
      Row row;
      row.quantity = fmt::format("{} {}", detector.text(), quantity);
      row.unit = "%";
      row.ours = at(output);
      if (!std::isnan(row.ours)) row.interval = Interval{at(output + "_low"), at(output + "_high")};
      if (at("traces_available") == 0)
        row.note.assign("recorded; not available: no trace has the signals that it needs");
      else
        row.note = note;
      rows.push_back(std::move(row));
    };
    add("thinking and probe tokens / full thinking", "think_share",
        fmt::format("recorded; {} traces", at("traces_available")));
    add("accuracy", "accuracy",
        fmt::format(
            "recorded; outcome known for {} of {} traces; over all: {:.1f} % if the others were wrong, {:.1f} % if "
            "they were right",
            at("traces_known"), at("traces_available"), at("accuracy_worst"), at("accuracy_best")));
  }
  return rows;
}

Experiment recorded() {
  return Experiment("rcp/recorded")
      .paper(std::string(kPaper), "beyond the paper", "what stopping rules save and cost on recorded traces")
      .param("traces_file", "", "recorded traces: JSON Lines (rcp-trace-1), or HDF5 as 'rcp import' writes it",
             input_path())
      .axis("detector", detector_axis(kRules), "", "stopping rule")
      .draws_vary_with({})
      .shared("recording", {}, make_recording)
      .shared("seed", {}, make_seed)
      .output("traces_available", "1", "traces that have the signals which the rule needs; 0: not available")
      .output("traces_known", "1", "of these, traces whose outcome at the stop is known")
      .output("traces_simulated", "1", "traces of the file that a generator made")
      .output("think_share", "%", "100 (thinking + probe tokens) / full thinking tokens, over the available")
      .output("think_share_low", "%", "2.5 % quantile, paired Poisson bootstrap")
      .output("think_share_high", "%", "97.5 % quantile")
      .output("total_share", "%", "the same with the tokens of the answer, where both answers' lengths are known")
      .output("total_share_low", "%", "2.5 % quantile, paired Poisson bootstrap")
      .output("total_share_high", "%", "97.5 % quantile")
      .output("accuracy", "%", "share of right answers over traces whose outcome at the stop is known")
      .output("accuracy_low", "%", "Wilson interval, 95 %")
      .output("accuracy_high", "%", "Wilson interval, 95 %")
      .output("accuracy_worst", "%", "over the available, every unknown outcome counted as wrong")
      .output("accuracy_best", "%", "over the available, every unknown outcome counted as right")
      .output("stopped", "%", "available traces that the rule stopped before their end")
      .output("early_share", "%", "stopped before k_RCP, over available traces whose k_RCP is known")
      .output("early_share_low", "%", "Wilson interval, 95 %")
      .output("early_share_high", "%", "Wilson interval, 95 %")
      .cost(5)
      .unavailable_when([](const Params& params) {
        return params.text("traces_file").empty() ? std::string("no recorded traces: give --traces-file FILE") : "";
      })
      .point(compute_recorded)
      .rows(recorded_rows);
}
LOWBIT_REGISTER(recorded);

}  // namespace
}  // namespace lowbit
