// Runs a detector over a trace and says what it would have cost and got.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "sim/early_exit/detector.hpp"
#include "sim/early_exit/trace.hpp"

namespace lowbit::early_exit {

/// How a detector's run over one trace ended.
struct Stop {
  enum Reason { kDetector, kNaturalEnd, kTokenCap, kNoThinking } reason = kNaturalEnd;
  std::size_t sentences = 0;  ///< sentences thought (1-based number of the last one)
  std::int64_t think_tok = 0;
  std::int64_t probe_tok = 0;     ///< tokens of probes, charged to the detector
  std::int64_t content_tok = -1;  ///< answer tokens at the stop, -1 unknown
  Outcome ok = Outcome::unknown;
  bool by_detector() const { return reason == kDetector; }
  std::int64_t total() const { return think_tok + probe_tok + (content_tok > 0 ? content_tok : 0); }
};

/// "detector", "natural end", "token cap", "no thinking": as in tables and records.
std::string_view reason_name(Stop::Reason reason);

struct ReplayOptions {
  /// Tokens charged for a trial answer. DEER limits a trial to 20 tokens; a trace does not say how many were used.
  std::int64_t trial_tokens = 20;
  /// Answer without thinking, where it is known (simulated traces).
  Outcome no_think = Outcome::unknown;
  std::int64_t no_think_content = -1;
};

/// Signals that a trace carries: a bit set of Signal.
std::uint32_t signals_of(const Trace& trace);

/// The stop of `detector` (reset first) on `trace`, or nullopt where the trace lacks a signal that the detector needs.
/// Thinking tokens never exceed the trace's own. A probe whose answer is missing at a sentence is answered with
/// "unknown" (confidence -1, answer -1), never with a stored sentinel that could read as data.
std::optional<Stop> replay(Detector& detector, const Trace& trace, const ReplayOptions& options = {});

/// The stop after sentence `sentences` (1-based; 0: no thinking; N: natural end) that a controller asks for.
Stop stop_after(const Trace& trace, std::size_t sentences, const ReplayOptions& options = {});

}  // namespace lowbit::early_exit
