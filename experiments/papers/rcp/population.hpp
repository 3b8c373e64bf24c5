// Detectors over a population of simulated traces: the costs and outcomes of every stop, and their estimates.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/core/report.hpp"
#include "sim/early_exit/generator.hpp"
#include "sim/early_exit/replay.hpp"

namespace lowbit::rcp {

/// One stop, small enough to keep for every trace and detector.
struct Outcome {
  float think = 0, probe = 0, content = 0;
  std::int32_t sentences = 0;
  bool right = false;
  bool by_detector = false;
  float total() const { return think + probe + content; }
};

struct TraceFacts {
  std::int32_t sentences = 0, k_rcp = 0;  ///< k_rcp 0: cut off before it
};

/// Outcomes of `detectors` on the same traces; outcome[d][i] is detector d on trace i. Empty for a detector that is not
/// available on simulated traces.
struct Population {
  std::vector<std::string> detectors;
  std::vector<TraceFacts> traces;
  std::vector<std::vector<Outcome>> outcomes;

  const std::vector<Outcome>& of(const std::string& detector) const;
};

/// Names beside those of the detector registry: "oracle" stops at k_RCP, an offline controller that sees the whole
/// trace.
inline const std::string kOracle = "oracle";

/// What the generator cannot supply of the signals that a detector needs; empty where it is available.
std::string simulated_signals_missing(const std::string& detector);

/// Runs every detector over traces 0 .. count - 1 of a profile.
Population simulate(const early_exit::Profile& profile, std::uint64_t seed, std::size_t count,
                    const std::vector<std::string>& detectors, const early_exit::GeneratorModel& model = {});

/// The same for one detector object.
std::vector<Outcome> simulate(const early_exit::Profile& profile, std::uint64_t seed, std::size_t count,
                              early_exit::Detector& detector, const early_exit::GeneratorModel& model = {});

/// Bootstrap weights, Poisson(1), for trace i and replicate r: a function of (seed, i, r) alone, so that intervals
/// depend on neither order nor threads nor shards and different detectors are compared on the same resamples.
class Weights {
 public:
  Weights(std::uint64_t seed, std::size_t traces, std::size_t replicates);
  /// Of recorded traces: i is a key of the trace, not its place, so that their order does not matter.
  Weights(std::uint64_t seed, const std::vector<std::uint64_t>& keys, std::size_t replicates);
  std::size_t replicates() const { return replicates_; }
  std::uint8_t at(std::size_t trace, std::size_t replicate) const { return weights_[trace * replicates_ + replicate]; }

 private:
  std::size_t replicates_;
  std::vector<std::uint8_t> weights_;
};

/// A mean or ratio with its 95 % interval.
struct Estimate {
  double value = 0;
  Interval interval;
};

/// mean(numerator) / mean(denominator) over traces; an empty denominator stands for ones.
Estimate ratio(const std::vector<double>& numerator, const std::vector<double>& denominator, const Weights& weights);

/// Thinking, probe and answer tokens of each stop.
std::vector<double> totals(const std::vector<Outcome>& outcomes);
/// Accuracy in percent with its Wilson interval.
Estimate accuracy(const std::vector<Outcome>& outcomes);
/// Difference of accuracies in points, paired by trace, with its Poisson bootstrap interval.
Estimate accuracy_difference(const std::vector<Outcome>& a, const std::vector<Outcome>& b, const Weights& weights);

/// How a detector's stops lie to k_RCP.
struct Timing {
  double early = 0;  ///< percent of traces stopped by the detector before k_RCP (a trace cut off before it counts)
  double delay_median = 0;  ///< sentences after k_RCP, over the other stops of the detector; NaN if there are none
  double delay_mean = 0;
};
/// Both of the same traces; NaN percentages without a trace.
Timing timing(const std::vector<Outcome>& outcomes, const std::vector<TraceFacts>& traces);

}  // namespace lowbit::rcp
