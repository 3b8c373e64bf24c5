#include "sim/early_exit/replay.hpp"

#include <algorithm>

namespace lowbit::early_exit {

std::string_view reason_name(Stop::Reason reason) {
  switch (reason) {
    case Stop::kDetector:
      return "detector";
    case Stop::kNaturalEnd:
      return "natural end";
    case Stop::kTokenCap:
      return "token cap";
    case Stop::kNoThinking:
      break;
  }
  return "no thinking";
}

namespace {

/// The view of a trace after sentence (or token) `at`.
class TraceView final : public View {
 public:
  TraceView(const Trace& trace, const std::vector<std::int32_t>& ranks) : trace_(trace), ranks_(ranks) {}
  void move_to(std::size_t step, std::size_t sentence, std::int64_t tokens) {
    step_ = step, sentence_ = sentence, tokens_ = tokens;
  }
  std::size_t step() const override { return step_; }
  std::int64_t tokens() const override { return tokens_; }
  std::size_t history() const override { return step_ + 1; }
  std::int64_t rank(std::size_t back) const override { return ranks_[step_ - back]; }
  double logp() const override { return trace_.logp[sentence_]; }
  double boost() const override { return trace_.boost[sentence_]; }

 private:
  const Trace& trace_;
  const std::vector<std::int32_t>& ranks_;
  std::size_t step_ = 0, sentence_ = 0;
  std::int64_t tokens_ = 0;
};

ProbeResult answer_probe(const Trace& trace, std::size_t k, Probe probe, const ReplayOptions& options) {
  ProbeResult result;
  if (probe == Probe::trial_answer) {
    if (!trace.conf.empty()) result.confidence = trace.conf[k];
    if (!trace.conf_geo.empty()) result.confidence_geometric = trace.conf_geo[k];
    result.tokens = options.trial_tokens;
  } else {
    result.answer = trace.ans[k];
    result.tokens = trace.content_tok.empty() ? 0 : std::max(0, trace.content_tok[k]);
  }
  return result;
}

Stop natural_end(const Trace& trace) {
  Stop stop;
  stop.reason = trace.end.natural ? Stop::kNaturalEnd : Stop::kTokenCap;
  stop.sentences = trace.sentences();
  stop.think_tok = trace.end.think_tok;
  stop.content_tok = trace.end.content_tok;
  stop.ok = trace.end.ok;
  return stop;
}

/// Asks the detector at one step; true: stop here.
bool decides_to_stop(Detector& detector, const View& view, const Trace& trace, std::size_t k,
                     const ReplayOptions& options, std::int64_t& probe_tok) {
  Decision decision = detector.step(view);
  while (decision.kind == Decision::kProbe) {
    const ProbeResult result = answer_probe(trace, k, decision.probe, options);
    probe_tok += result.tokens;
    decision = detector.probed(view, result);
  }
  return decision.kind == Decision::kStop;
}

Stop replay_tokens(Detector& detector, const Trace& trace, const ReplayOptions& options) {
  TraceView view(trace, trace.tok_rank);
  std::int64_t probe_tok = 0;
  std::size_t token = 0;
  for (std::size_t k = 0; k < trace.sentences(); ++k) {
    for (std::int32_t i = 0; i < trace.tok[k]; ++i, ++token) {
      // the last token is the trace's own end: nothing is left to decide there
      if (token + 1 == trace.tok_rank.size()) break;
      view.move_to(token, k, static_cast<std::int64_t>(token) + 1);
      if (!decides_to_stop(detector, view, trace, k, options, probe_tok)) continue;
      // what the model would answer inside a sentence is known only where that is the sentence's end
      Stop stop = stop_after(trace, k + 1, options);
      if (i + 1 < trace.tok[k]) stop.ok = Outcome::unknown, stop.content_tok = -1;
      stop.reason = Stop::kDetector;
      stop.think_tok = static_cast<std::int64_t>(token) + 1;
      stop.probe_tok = probe_tok;
      return stop;
    }
  }
  Stop stop = natural_end(trace);
  stop.probe_tok = probe_tok;
  return stop;
}

}  // namespace

std::uint32_t signals_of(const Trace& t) {
  std::uint32_t signals = kNoSignal;
  const auto add = [&](bool present, Signal signal) {
    if (present) signals |= signal;
  };
  add(!t.rank.empty(), kRank);
  add(!t.logp.empty(), kLogp);
  add(!t.wait.empty(), kWait);
  add(!t.boost.empty(), kBoost);
  add(!t.conf.empty(), kTrialConfidence);
  add(!t.conf_geo.empty(), kTrialConfidenceGeometric);
  add(!t.ans.empty(), kForcedAnswer);
  add(!t.tok_rank.empty(), kTokenRank);
  return signals;
}

Stop stop_after(const Trace& trace, std::size_t sentences, const ReplayOptions& options) {
  if (sentences == 0) {
    Stop stop;
    stop.reason = Stop::kNoThinking;
    stop.ok = options.no_think;
    stop.content_tok = options.no_think_content;
    return stop;
  }
  if (sentences >= trace.sentences()) return natural_end(trace);
  Stop stop;
  stop.reason = Stop::kDetector;
  stop.sentences = sentences;
  for (std::size_t k = 0; k < sentences; ++k) stop.think_tok += trace.tok[k];
  if (!trace.ok.empty()) stop.ok = trace.ok[sentences - 1];
  if (!trace.content_tok.empty()) stop.content_tok = trace.content_tok[sentences - 1];
  return stop;
}

std::optional<Stop> replay(Detector& detector, const Trace& trace, const ReplayOptions& options) {
  const DetectorInfo info = detector.info();
  if (!detector.thinks()) return stop_after(trace, 0, options);
  if ((info.signals & signals_of(trace)) != info.signals) return std::nullopt;
  detector.reset();
  if (info.granularity == Granularity::token) return replay_tokens(detector, trace, options);

  TraceView view(trace, trace.rank);
  std::int64_t tokens = 0, probe_tok = 0;
  // the last sentence is the trace's own end: nothing is left to decide there
  for (std::size_t k = 0; k + 1 < trace.sentences(); ++k) {
    tokens += trace.tok[k];
    if (info.granularity == Granularity::transition && !trace.wait[k]) continue;
    view.move_to(k, k, tokens);
    if (!decides_to_stop(detector, view, trace, k, options, probe_tok)) continue;
    Stop stop = stop_after(trace, k + 1, options);
    stop.probe_tok = probe_tok;
    return stop;
  }
  Stop stop = natural_end(trace);
  stop.probe_tok = probe_tok;
  return stop;
}

}  // namespace lowbit::early_exit
