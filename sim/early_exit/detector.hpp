// The contract of an early-exit detector. A detector is told what a running generation shows at each step and answers
// go, stop, or "probe first"; the same object runs on recorded traces, on simulated ones and inside live generation.
//
//   RCPD rule C_short:   bool step(v): return v.rank(0) <= 20 && v.rank(1) <= 20 && v.rank(2) <= 20;
//   DEER:                step(v): return probe(Probe::trial_answer) at a transition word;
//                        probed(v, r): stop if r.confidence > 0.95
//   Budget:              step(v): stop once v.tokens() >= budget
//
// The driver (replay.hpp for traces) owns the history, charges each probe's tokens, and makes the stop happen.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/early_exit/trace.hpp"

namespace lowbit::early_exit {

/// When step() is called.
enum class Granularity {
  token,      ///< after every thinking token but the last
  sentence,   ///< after every sentence but the last
  transition  ///< after a sentence that is followed by a transition word ("Wait")
};

/// Signals that a detector reads; a bit set.
enum Signal : std::uint32_t {
  kNoSignal = 0,
  kRank = 1,
  kLogp = 2,
  kWait = 4,
  kBoost = 8,
  kTrialConfidence = 16,
  kTrialConfidenceGeometric = 32,
  kForcedAnswer = 64,
  kTokenRank = 128
};

/// What a detector may ask for before it decides.
enum class Probe {
  none,
  trial_answer,  ///< a short induced answer and the confidence in it
  forced_answer  ///< the greedy answer from this prefix
};

struct ProbeResult {
  double confidence = -1;            ///< arithmetic mean token probability, -1 unknown
  double confidence_geometric = -1;  ///< geometric mean, -1 unknown
  std::int32_t answer = -1;          ///< identity of the answer, -1 none
  std::int64_t tokens = 0;           ///< generated for the probe, charged to the detector
};

struct Decision {
  enum Kind { kGo, kStop, kProbe } kind = kGo;
  Probe probe = Probe::none;
  static Decision go() { return {}; }
  static Decision stop() { return {kStop, Probe::none}; }
  static Decision ask(Probe probe) { return {kProbe, probe}; }
};

/// What has been seen so far; entry 0 of a history is the current step.
class View {
 public:
  virtual ~View() = default;
  virtual std::size_t step() const = 0;                   ///< 0-based number of this sentence (token)
  virtual std::int64_t tokens() const = 0;                ///< thinking tokens so far
  virtual std::size_t history() const = 0;                ///< steps seen, this one included
  virtual std::int64_t rank(std::size_t back) const = 0;  ///< rank `back` steps ago; back < history()
  virtual double logp() const = 0;
  virtual double boost() const = 0;
};

struct DetectorInfo {
  std::string name;         ///< as on the command line
  std::string description;  ///< one line
  std::string source;       ///< paper, section
  Granularity granularity = Granularity::sentence;
  std::uint32_t signals = kNoSignal;
  std::size_t history = 1;  ///< steps of history that it reads
};

class Detector {
 public:
  virtual ~Detector() = default;
  virtual DetectorInfo info() const = 0;
  virtual void reset() {}
  virtual Decision step(const View& view) = 0;
  /// Answer to a probe that step() asked for.
  virtual Decision probed(const View&, const ProbeResult&) { return Decision::go(); }
  /// Think at all? No-think answers false and the generation starts with the end token.
  virtual bool thinks() const { return true; }
};

/// An offline controller sees the whole trace: an upper bound, not a method. Returns the 0-based sentence after which
/// it stops, or sentences() for the natural end.
class Controller {
 public:
  virtual ~Controller() = default;
  virtual DetectorInfo info() const = 0;
  virtual std::size_t stop(const Trace& trace) const = 0;
};

}  // namespace lowbit::early_exit
