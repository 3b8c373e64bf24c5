#include "experiments/papers/rcp/recording.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/rcp/estimates.hpp"
#include "experiments/papers/rcp/trace_store.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/registry.hpp"

namespace lowbit::rcp {
namespace {

using early_exit::Trace;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// FNV-1a: a number for an id, equal on every machine.
std::uint64_t key_of(const std::string& id, std::size_t place) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : id.empty() ? std::to_string(place) : id)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

/// The length of every forced answer is known, so that each can be charged.
bool forced_answers_have_lengths(const Trace& t) {
  return !t.content_tok.empty() && std::find(t.content_tok.begin(), t.content_tok.end(), -1) == t.content_tok.end();
}

RecordedStop recorded(const std::optional<early_exit::Stop>& stop) {
  if (!stop) return {};
  RecordedStop r;
  r.available = true;
  r.by_detector = stop->by_detector();
  r.think = stop->think_tok;
  r.probe = stop->probe_tok;
  r.content = stop->content_tok;
  r.ok = stop->ok;
  r.sentences = static_cast<std::int32_t>(stop->sentences);
  return r;
}

/// A rule by name, or the controller that stops at k_RCP.
class Rule {
 public:
  explicit Rule(const std::string& name)
      : detector_(name == kOracle ? nullptr : early_exit::make_detector(name)),
        forces_answers_(detector_ && (detector_->info().signals & early_exit::kForcedAnswer) != 0) {}

  RecordedStop run(const Trace& t) {
    if (!detector_) {
      if (t.k_rcp == 0) return {};
      return recorded(early_exit::stop_after(t, static_cast<std::size_t>(t.k_rcp)));
    }
    if (forces_answers_ && !forced_answers_have_lengths(t)) return {};
    return recorded(early_exit::replay(*detector_, t));
  }

 private:
  std::unique_ptr<early_exit::Detector> detector_;
  bool forces_answers_;
};

/// sum(numerator) / sum(denominator) in percent over traces that `use` accepts, weighted by their keys.
template <class Use, class Cost>
Estimate share(const Recording& recording, const std::vector<RecordedStop>& stops, std::uint64_t seed, Use use,
               Cost cost) {
  std::vector<double> up, down;
  std::vector<std::uint64_t> keys;
  for (std::size_t i = 0; i < stops.size(); ++i) {
    if (!stops[i].available || !use(stops[i]) || !use(recording.full[i])) continue;
    up.push_back(100 * cost(stops[i]));
    down.push_back(cost(recording.full[i]));
    keys.push_back(recording.keys[i]);
  }
  if (up.empty()) return {kNone, {kNone, kNone}};
  return ratio(up, down, Weights(seed, keys, kReplicates));
}

}  // namespace

const std::vector<RecordedStop>& Recording::of(const std::string& detector) const {
  const auto found = std::find(detectors.begin(), detectors.end(), detector);
  if (found == detectors.end()) throw std::logic_error("recording without detector " + detector);
  return stops[static_cast<std::size_t>(found - detectors.begin())];
}

Recording read_recording(const std::string& path, const std::vector<std::string>& detectors, int threads) {
  Recording recording;
  recording.detectors = detectors;
  recording.stops.resize(detectors.size());
  std::vector<Rule> rules;
  for (const std::string& name : detectors) rules.emplace_back(name);
  const auto add = [&](Trace&& t) {
    recording.keys.push_back(key_of(t.id, recording.keys.size()));
    recording.k_rcp.push_back(t.k_rcp);
    recording.simulated += t.simulated;
    recording.full.push_back(recorded(early_exit::stop_after(t, t.sentences())));
    for (std::size_t d = 0; d < rules.size(); ++d) recording.stops[d].push_back(rules[d].run(t));
  };
  if (is_hdf5(path)) {
    read_columns(path, add);
    return recording;
  }
  early_exit::ReadOptions options;
  options.threads = threads;
  std::optional<std::pair<std::size_t, early_exit::Problem>> first;
  const auto report = early_exit::read_traces(
      path, options, [&](Trace&& t, std::size_t) { add(std::move(t)); },
      [&](std::size_t line, const early_exit::Problem& problem) {
        if (!first) first = {line, problem};
      });
  if (first)
    throw_error(ExitCode::bad_data, "'{}' has {} bad lines, the first is line {}: {}; 'rcp check' lists them", path,
                report.bad, first->first, first->second.text);
  if (recording.keys.empty()) throw_error(ExitCode::bad_data, "'{}' holds no trace", path);
  return recording;
}

KnownAccuracy known_accuracy(const std::vector<RecordedStop>& stops) {
  KnownAccuracy result;
  double right = 0;
  for (const RecordedStop& s : stops) {
    result.available += s.available;
    result.known += s.available && s.ok != early_exit::Outcome::unknown;
    right += s.available && s.ok == early_exit::Outcome::right;
  }
  const Interval w = wilson(right, result.known);
  result.accuracy = {result.known > 0 ? 100 * right / result.known : kNone, {100 * w.low, 100 * w.high}};
  const bool any = result.available > 0;
  result.worst = any ? 100 * right / result.available : kNone;
  result.best = any ? 100 * (right + result.available - result.known) / result.available : kNone;
  return result;
}

Estimate think_share(const Recording& recording, const std::vector<RecordedStop>& stops, std::uint64_t seed) {
  return share(
      recording, stops, seed, [](const RecordedStop&) { return true; },
      [](const RecordedStop& s) { return static_cast<double>(s.think + s.probe); });
}

Estimate total_share(const Recording& recording, const std::vector<RecordedStop>& stops, std::uint64_t seed) {
  return share(
      recording, stops, seed, [](const RecordedStop& s) { return s.content >= 0; },
      [](const RecordedStop& s) { return static_cast<double>(s.think + s.probe + s.content); });
}

}  // namespace lowbit::rcp
