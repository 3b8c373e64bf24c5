// rcp/trace, rcp/pareto and rcp/fit: single traces, all detectors in one picture, rules learned from labels.
#include <fmt/format.h>
#include <cmath>
#include <limits>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/rcp/estimates.hpp"
#include "experiments/papers/rcp/published.hpp"
#include "experiments/papers/rcp/tree.hpp"
#include "sim/early_exit/registry.hpp"

namespace lowbit {
namespace {

using namespace rcp;

constexpr std::size_t kSentences = 1400;  ///< more than the longest trace: 31,500 tokens in sentences of 30

std::uint64_t trace_seed(const Point&, Rng rng) {
  return rng.word64();
}

Record compute_trace(const Point& p, Rng) {
  const early_exit::Generated g =
      early_exit::generate(early_exit::profile(p.text("profile")), p.shared<std::uint64_t>("seed"),
                           static_cast<std::uint64_t>(p.integer("trace")));
  const early_exit::Trace& t = g.trace;
  std::vector<double> rank(kSentences, NAN), stage(kSentences, NAN), content(kSentences, NAN), right(kSentences, NAN);
  for (std::size_t k = 0; k < std::min(kSentences, t.sentences()); ++k) {
    rank[k] = t.rank[k];
    stage[k] = t.stage[k];
    content[k] = t.content_tok[k];
    right[k] = t.ok[k] == early_exit::Outcome::right;
  }
  const auto detector = early_exit::make_detector("rcpd");
  Record record{{"k_rcp", t.k_rcp == 0 ? NAN : t.k_rcp},
                {"rcpd_stop", static_cast<double>(early_exit::replay(*detector, t)->sentences)},
                {"sentences", static_cast<double>(t.sentences())}};
  return record.set("rank", rank).set("stage", stage).set("content_tokens", content).set("right", right);
}

Experiment trace() {
  return Experiment("rcp/trace")
      .paper(std::string(kPaper), "rank curve; scatter of L_t and L_c",
             "rank of the end token along single traces, simulated")
      .axis("profile", profile_axis(false), "", "model and benchmark mix that the generator stands for")
      .axis("trace", integers({0, 1, 2, 3}), "1", "number of the trace")
      .dim("sentence", indices(kSentences), "1", "sentence of the thinking text, from 0")
      .draws_vary_with({})
      .shared("seed", {}, trace_seed)
      .output("k_rcp", "sentences", "reasoning completion point, from 1; NaN if the trace is cut before it")
      .output("rcpd_stop", "sentences", "where RCPD stops")
      .output("sentences", "sentences", "length of the trace")
      .narrow_output("rank", "1", "rank of the end token at the sentence's end", {"sentence"})
      .narrow_output("stage", "1", "1 exploration, 2 compensation, 3 convergence", {"sentence"})
      .narrow_output("content_tokens", "tokens", "content if stopped here (L_c)", {"sentence"})
      .narrow_output("right", "1", "1 if the answer forced here is right", {"sentence"})
      .quick("trace=0,1")
      .cost(1)
      .point(compute_trace);
}
LOWBIT_REGISTER(trace);

std::vector<Row> pareto_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Value& detector : results.coordinates("detector")) {
    const std::string missing = simulated_signals_missing(detector.text());
    if (missing.empty()) continue;
    Row row;
    row.quantity = detector.text() + " accuracy";
    row.ours = std::numeric_limits<double>::quiet_NaN();
    row.note = fmt::format("simulated; not available: a simulated trace lacks {}; see rcp recorded", missing);
    rows.push_back(std::move(row));
  }
  return rows;
}

Experiment pareto() {
  std::vector<std::string> d{"full", "no-think", kOracle};
  for (const char* scale : {"0.25", "0.5", "0.7", "1.4", "2", "2.8"}) d.push_back(fmt::format("rcpd:scale={}", scale));
  d.push_back("rcpd");
  for (const int at : {1, 2, 3, 5, 10, 20, 50, 100}) d.push_back(fmt::format("rank:at={}", at));
  for (const char* tau : {"0.001", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"})
    d.push_back(fmt::format("probability:tau={}", tau));
  for (const char* threshold : {"0.8", "0.9", "0.95", "0.98"}) d.push_back(fmt::format("deer:threshold={}", threshold));
  for (const int k : {10, 20, 30}) d.push_back(fmt::format("consistency:k={}", k));
  for (const int b : {2000, 4000, 6000, 8000, 12000, 16000}) d.push_back(fmt::format("budget:tokens={}", b));
  d.insert(d.end(), {"token-rank", "logit-boost", "deer-geometric"});
  Experiment e = declare("pareto", "", "accuracy against tokens, all detectors, simulated");
  e.axis("profile", profile_axis(false), "", "model and benchmark mix that the generator stands for")
      .axis("detector", detector_axis(d), "", "stopping rule")
      .draws_vary_with({"profile"})
      .shared("population", {"profile"}, make_population)
      .shared("weights", {}, make_weights);
  with_estimates(e);
  return e.quick("traces=500").cost(8).point(compute_population).rows(pareto_rows);
}
LOWBIT_REGISTER(pareto);

// ---- rules learned from k_RCP labels ----

std::shared_ptr<const Tree> make_tree(const Point& p, Rng rng) {
  TreeOptions options;
  options.depth = static_cast<int>(p.integer("depth"));
  options.threshold = p.real("threshold");
  const auto train = static_cast<std::size_t>(p.integer("train_traces"));
  return std::make_shared<const Tree>(samples(early_exit::profile(p.text("train")), rng.word64(), train, 100), options);
}

struct Tested {
  Population population;
  std::uint64_t seed;
};
Tested make_test(const Point& p, Rng rng) {
  Tested t;
  t.seed = rng.word64();
  t.population = simulate(early_exit::profile(p.text("profile")), t.seed, trace_count(p), {"full", "rcpd", "no-think"});
  return t;
}

Record compute_fit(const Point& p, Rng) {
  const auto& tree = p.shared<std::shared_ptr<const Tree>>("tree");
  const auto& test = p.shared<Tested>("test");
  const auto detector = tree_detector(tree);
  const auto outcomes = simulate(early_exit::profile(p.text("profile")), test.seed, trace_count(p), *detector);
  const auto& weights = p.shared<Weights>("weights");
  Record record = estimates(test.population, outcomes, weights);
  const Estimate gap = accuracy_difference(outcomes, test.population.of("rcpd"), weights);
  const Estimate cost = ratio(totals(outcomes), totals(test.population.of("rcpd")), weights);
  record.set("over_rcpd", gap.value).set("over_rcpd_low", gap.interval.low).set("over_rcpd_high", gap.interval.high);
  record.set("tokens_to_rcpd", cost.value)
      .set("tokens_to_rcpd_low", cost.interval.low)
      .set("tokens_to_rcpd_high", cost.interval.high);
  return record.set("importance", {tree->importance().begin(), tree->importance().end()});
}

std::vector<Row> fit_rows(const Results& results) {
  RowList rows(results);
  for (const auto& p : early_exit::profiles()) {
    const Coordinates where{{"train", "qwen3-8b"}, {"profile", std::string(p.name)}};
    const std::string name = "tree trained on qwen3-8b, tested on " + std::string(p.name);
    const std::string note = p.name == "qwen3-8b" ? "simulated, other traces of the training profile" : "simulated";
    rows.add({name + ": accuracy above RCPD", "over_rcpd", where, {}, {}, "", note});
    rows.add({name + ": tokens over RCPD's", "tokens_to_rcpd", where, {}, {}, "", note});
  }
  return rows.take();
}

Experiment fit() {
  Experiment e = declare(
      "fit", "", "a decision tree on the history of ranks, trained on one profile and tested on the others, simulated");
  e.param("train_traces", 3000, "traces that the tree is trained on", between(10, 1e6))
      .param("depth", 4, "depth of the tree; not stated in the paper", between(1, 12))
      .param("threshold", 0.99,
             "share of converged training sentences above which a leaf stops; one false stop ends a trace, so that 0.5 "
             "stops "
             "most of them early; not stated in the paper",
             between(0, 1))
      .axis("train", profile_axis(false), "", "profile that the tree is trained on")
      .axis("profile", profile_axis(true), "", "profile that it is tested on")
      .dim("back", indices(kHistory), "sentences", "how far back the rank lies")
      .draws_vary_with({"train", "profile"})
      .shared("tree", {"train"}, make_tree)
      .shared("test", {"profile"}, make_test)
      .shared("weights", {}, make_weights);
  with_estimates(e)
      .output("over_rcpd", "points", "accuracy minus RCPD's, paired by trace")
      .output("over_rcpd_low", "points", "2.5 % quantile, paired Poisson bootstrap")
      .output("over_rcpd_high", "points", "97.5 % quantile")
      .output("tokens_to_rcpd", "1", "tokens / RCPD's tokens")
      .output("tokens_to_rcpd_low", "1", "2.5 % quantile, paired Poisson bootstrap")
      .output("tokens_to_rcpd_high", "1", "97.5 % quantile")
      .output("importance", "1", "share of the removed Gini impurity", {"back"});
  return e.quick("traces=500 train_traces=300").cost(15).point(compute_fit).rows(fit_rows);
}
LOWBIT_REGISTER(fit);

}  // namespace
}  // namespace lowbit
