#include "experiments/papers/rcp/population.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "experiments/core/bootstrap.hpp"
#include "formats/random.hpp"
#include "sim/early_exit/registry.hpp"

namespace lowbit::rcp {

namespace {

Outcome compact(const early_exit::Stop& stop) {
  Outcome o;
  o.think = static_cast<float>(stop.think_tok);
  o.probe = static_cast<float>(stop.probe_tok);
  o.content = static_cast<float>(std::max<std::int64_t>(0, stop.content_tok));
  o.sentences = static_cast<std::int32_t>(stop.sentences);
  o.right = stop.ok == early_exit::Outcome::right;
  o.by_detector = stop.by_detector();
  return o;
}

/// Poisson(1) by inversion of a uniform word.
std::uint8_t poisson(std::uint32_t word) {
  static const std::vector<double> cumulative = [] {
    std::vector<double> c;
    double p = std::exp(-1.0), sum = 0;
    for (int k = 0; k < 12; ++k, p /= k) c.push_back((sum += p) * 0x1p32);
    return c;
  }();
  std::uint8_t k = 0;
  while (k < cumulative.size() && word >= cumulative[k]) ++k;
  return k;
}

std::vector<std::uint64_t> numbers(std::size_t n) {
  std::vector<std::uint64_t> values(n);
  std::iota(values.begin(), values.end(), std::uint64_t{0});
  return values;
}

}  // namespace

const std::vector<Outcome>& Population::of(const std::string& detector) const {
  const auto found = std::find(detectors.begin(), detectors.end(), detector);
  if (found == detectors.end()) throw std::logic_error("population without detector " + detector);
  return outcomes[static_cast<std::size_t>(found - detectors.begin())];
}

std::string simulated_signals_missing(const std::string& detector) {
  if (detector == kOracle) return "";
  const std::uint32_t missing = early_exit::make_detector(detector)->info().signals & ~early_exit::kGeneratedSignals;
  std::string names;
  for (const auto& [signal, name] :
       {std::pair{early_exit::kBoost, "logits (boost)"},
        std::pair{early_exit::kTrialConfidenceGeometric, "a trial answer's token probabilities (conf_geo)"},
        std::pair{early_exit::kTokenRank, "ranks inside sentences (tok_rank)"}})
    if ((missing & signal) != 0) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

Population simulate(const early_exit::Profile& profile, std::uint64_t seed, std::size_t count,
                    const std::vector<std::string>& detectors, const early_exit::GeneratorModel& model) {
  Population population{detectors, std::vector<TraceFacts>(count), {}};
  std::vector<std::unique_ptr<early_exit::Detector>> objects;
  for (const std::string& name : detectors) {
    objects.push_back(name == kOracle ? nullptr : early_exit::make_detector(name));
    population.outcomes.emplace_back(simulated_signals_missing(name).empty() ? count : 0);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const early_exit::Generated g = early_exit::generate(profile, seed, i, model);
    const auto n = static_cast<std::int32_t>(g.trace.sentences());
    population.traces[i] = {n, g.trace.k_rcp};
    early_exit::ReplayOptions options;
    options.no_think = g.no_think;
    options.no_think_content = g.no_think_content;
    for (std::size_t d = 0; d < objects.size(); ++d) {
      if (population.outcomes[d].empty()) continue;
      const auto stop = objects[d] ? early_exit::replay(*objects[d], g.trace, options)
                                   : early_exit::stop_after(
                                         g.trace, static_cast<std::size_t>(g.trace.k_rcp ? g.trace.k_rcp : n), options);
      if (!stop) throw std::logic_error("generated traces lack a signal of " + detectors[d]);
      population.outcomes[d][i] = compact(*stop);
    }
  }
  return population;
}

std::vector<Outcome> simulate(const early_exit::Profile& profile, std::uint64_t seed, std::size_t count,
                              early_exit::Detector& detector, const early_exit::GeneratorModel& model) {
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < count; ++i) {
    const early_exit::Generated g = early_exit::generate(profile, seed, i, model);
    outcomes.push_back(compact(early_exit::replay(detector, g.trace).value()));
  }
  return outcomes;
}

Weights::Weights(std::uint64_t seed, std::size_t traces, std::size_t replicates)
    : Weights(seed, numbers(traces), replicates) {}

Weights::Weights(std::uint64_t seed, const std::vector<std::uint64_t>& keys, std::size_t replicates)
    : replicates_(replicates), weights_(keys.size() * replicates) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t r = 0; r < replicates; r += 4) {
      const auto words = philox(seed, keys[i], r / 4);
      for (std::size_t k = 0; k < 4 && r + k < replicates; ++k) weights_[i * replicates + r + k] = poisson(words[k]);
    }
  }
}

Estimate ratio(const std::vector<double>& numerator, const std::vector<double>& denominator, const Weights& weights) {
  const std::size_t n = numerator.size();
  const auto below = [&](std::size_t i) { return denominator.empty() ? 1.0 : denominator[i]; };
  std::vector<double> up(weights.replicates()), down(weights.replicates());
  double sum_up = 0, sum_down = 0;
  for (std::size_t i = 0; i < n; ++i) {
    sum_up += numerator[i];
    sum_down += below(i);
    for (std::size_t r = 0; r < up.size(); ++r) {
      up[r] += weights.at(i, r) * numerator[i];
      down[r] += weights.at(i, r) * below(i);
    }
  }
  for (std::size_t r = 0; r < up.size(); ++r) up[r] /= down[r];
  return {sum_up / sum_down, {quantile(up, 0.025), quantile(up, 0.975)}};
}

std::vector<double> totals(const std::vector<Outcome>& outcomes) {
  std::vector<double> out;
  for (const Outcome& o : outcomes) out.push_back(o.total());
  return out;
}

Estimate accuracy(const std::vector<Outcome>& outcomes) {
  const double n = static_cast<double>(outcomes.size());
  const double right =
      static_cast<double>(std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return o.right; }));
  const Interval w = wilson(right, n);
  return {100 * right / n, {100 * w.low, 100 * w.high}};
}

Estimate accuracy_difference(const std::vector<Outcome>& a, const std::vector<Outcome>& b, const Weights& weights) {
  std::vector<double> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = 100.0 * (a[i].right - b[i].right);
  return ratio(difference, {}, weights);
}

Timing timing(const std::vector<Outcome>& outcomes, const std::vector<TraceFacts>& traces) {
  std::size_t early = 0;
  std::vector<double> delays;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i].by_detector) continue;
    if (traces[i].k_rcp == 0 || outcomes[i].sentences < traces[i].k_rcp)
      ++early;
    else
      delays.push_back(outcomes[i].sentences - traces[i].k_rcp);
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double mean =
      delays.empty() ? nan : std::accumulate(delays.begin(), delays.end(), 0.0) / static_cast<double>(delays.size());
  return {100.0 * static_cast<double>(early) / static_cast<double>(outcomes.size()), quantile(delays, 0.5), mean};
}

}  // namespace lowbit::rcp
