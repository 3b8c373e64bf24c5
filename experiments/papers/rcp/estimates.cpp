#include "experiments/papers/rcp/estimates.hpp"

#include <algorithm>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/rcp/published.hpp"
#include "sim/early_exit/registry.hpp"

namespace lowbit::rcp {

namespace {

std::string check_detector(const std::string& spec) {
  if (spec != kOracle && spec != kMatched) early_exit::make_detector(spec);
  return spec;
}

std::string check_profile(const std::string& name) {
  return std::string(early_exit::profile(name).name);
}

}  // namespace

Experiment declare(const std::string& figure, const std::string& published_as, const std::string& title) {
  Experiment e("rcp/" + figure);
  e.paper(std::string(kPaper), published_as.empty() ? "beyond the paper" : published_as, title);
  e.param("traces", 20000, "simulated traces per profile", between(100, 1e7));
  return e;
}

Values profile_axis(bool all) {
  std::vector<std::string> names;
  for (const auto& p : early_exit::profiles()) names.emplace_back(p.name);
  if (!all) names = {"qwen3-8b"};
  return texts(names, checked(check_profile));
}

Values detector_axis(std::vector<std::string> specs) {
  return texts(std::move(specs), checked(check_detector));
}

std::vector<std::string> texts_of(const std::vector<Value>& values) {
  std::vector<std::string> out;
  for (const Value& v : values) out.push_back(v.text());
  return out;
}

std::size_t trace_count(const Point& point) {
  return static_cast<std::size_t>(point.integer("traces"));
}

Weights make_weights(const Point& point, Rng rng) {
  return Weights(rng.word64(), trace_count(point), kReplicates);
}

Population make_population(const Point& point, Rng rng) {
  std::vector<std::string> specs{"full", "rcpd", "no-think"};
  for (const std::string& spec : texts_of(point.coordinates("detector"))) {
    if (spec != kMatched && std::find(specs.begin(), specs.end(), spec) == specs.end()) specs.push_back(spec);
  }
  return simulate(early_exit::profile(point.text("profile")), rng.word64(), trace_count(point), specs);
}

Record estimates(const Population& population, const std::vector<Outcome>& outcomes, const Weights& weights) {
  if (outcomes.empty()) return {};  // not available: every output is NaN
  const auto& full = population.of("full");
  const Estimate tokens = ratio(totals(outcomes), {}, weights);
  const Estimate compression = ratio(totals(outcomes), totals(full), weights);
  const Estimate right = accuracy(outcomes);
  const Estimate gap = accuracy_difference(outcomes, full, weights);
  const Timing time = timing(outcomes, population.traces);
  double think = 0, probe = 0, content = 0, beyond = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    think += outcomes[i].think;
    probe += outcomes[i].probe;
    content += outcomes[i].content;
    beyond += outcomes[i].total() > full[i].total();
  }
  const double n = static_cast<double>(outcomes.size());
  // reasoning per cost ratio: accuracy points above no-think for each 10,000 tokens
  const double rpcr = 1e4 * (right.value - accuracy(population.of("no-think")).value) / tokens.value;
  return {{"tokens", tokens.value},
          {"tokens_low", tokens.interval.low},
          {"tokens_high", tokens.interval.high},
          {"compression", 100 * compression.value},
          {"compression_low", 100 * compression.interval.low},
          {"compression_high", 100 * compression.interval.high},
          {"accuracy", right.value},
          {"accuracy_low", right.interval.low},
          {"accuracy_high", right.interval.high},
          {"accuracy_gap", gap.value},
          {"accuracy_gap_low", gap.interval.low},
          {"accuracy_gap_high", gap.interval.high},
          {"rpcr", rpcr},
          {"early_share", time.early},
          {"delay_median", time.delay_median},
          {"delay_mean", time.delay_mean},
          {"think_tokens", think / n},
          {"probe_tokens", probe / n},
          {"content_tokens", content / n},
          {"beyond_full", 100 * beyond / n}};
}

Record compute_population(const Point& p, Rng) {
  const auto& population = p.shared<Population>("population");
  return estimates(population, population.of(p.text("detector")), p.shared<Weights>("weights"));
}

Experiment& with_estimates(Experiment& e) {
  return e.output("tokens", "tokens", "mean thinking + probe + content tokens per trace")
      .output("tokens_low", "tokens", "2.5 % quantile, Poisson bootstrap over traces")
      .output("tokens_high", "tokens", "97.5 % quantile")
      .output("compression", "%", "CR = 100 tokens / tokens of full thinking")
      .output("compression_low", "%", "2.5 % quantile, paired Poisson bootstrap")
      .output("compression_high", "%", "97.5 % quantile")
      .output("accuracy", "%", "share of right answers")
      .output("accuracy_low", "%", "Wilson interval, 95 %")
      .output("accuracy_high", "%", "Wilson interval, 95 %")
      .output("accuracy_gap", "points", "accuracy minus that of full thinking, paired by trace")
      .output("accuracy_gap_low", "points", "2.5 % quantile, paired Poisson bootstrap")
      .output("accuracy_gap_high", "points", "97.5 % quantile")
      .output("rpcr", "points per 10^4 tokens", "RPCR = 10^4 (accuracy - accuracy of no-think) / tokens")
      .output("early_share", "%", "traces that the detector stopped before k_RCP")
      .output("delay_median", "sentences", "stop after k_RCP, median over the detector's other stops")
      .output("delay_mean", "sentences", "the same, mean")
      .output("think_tokens", "tokens", "mean thinking tokens")
      .output("probe_tokens", "tokens", "mean tokens of probes")
      .output("content_tokens", "tokens", "mean tokens of the answer text")
      .output("beyond_full", "%", "traces whose total tokens exceed those of full thinking (thinking tokens never do)");
}

double band_scale(double traces) {
  return std::max(1.0, std::sqrt(kBandTraces / traces));
}

RowList::RowList(const Results& results) : results_(results) {
  traces_ = static_cast<double>(results.params().integer("traces"));
  scale_ = band_scale(traces_);
}

Interval RowList::widened(Interval band) const {
  const double middle = 0.5 * (band.low + band.high), half = 0.5 * (band.high - band.low);
  return scale_ == 1 ? band : Interval{middle - scale_ * half, middle + scale_ * half};
}

Row RowList::row_of(const Claim& claim) const {
  Row row;
  row.quantity = claim.quantity;
  row.ours = results_.at(claim.output, claim.where);
  if (claim.band) row.band = widened(*claim.band);
  row.reference = claim.reference;
  row.source = claim.source;
  row.note = claim.note;
  return row;
}

void RowList::add(const Claim& claim) {
  Row row = row_of(claim);
  row.interval =
      Interval{results_.at(claim.output + "_low", claim.where), results_.at(claim.output + "_high", claim.where)};
  rows_.push_back(std::move(row));
}

void RowList::add_run(const std::string& name, const Coordinates& where, double tokens, double accuracy,
                      const std::string& note) {
  const std::string source(kCalibration);
  add({name + " tokens", "tokens", where, Interval{0.95 * tokens, 1.05 * tokens}, tokens, source, note});
  add({name + " accuracy", "accuracy", where, Interval{accuracy - 1.5, accuracy + 1.5}, accuracy, source, note});
}

void RowList::add_share(const Claim& claim) {
  Row row = row_of(claim);
  const Interval w = wilson(std::round(row.ours / 100 * traces_), traces_);
  row.interval = Interval{100 * w.low, 100 * w.high};
  rows_.push_back(std::move(row));
}

void RowList::add_exact(const Claim& claim, const std::string& unit) {
  Row row = row_of(claim);
  row.exact = true;
  row.unit = unit;
  rows_.push_back(std::move(row));
}

}  // namespace lowbit::rcp
