// A detector inside a running generation: the same objects that replay() runs over stored traces.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/early_exit/detector.hpp"
#include "sim/early_exit/replay.hpp"
#include "sim/early_exit/sentences.hpp"
#include "sim/early_exit/signals.hpp"
#include "sim/early_exit/trace.hpp"
#include "sim/model/generate.hpp"

namespace lowbit::early_exit {

/// What the model answers to a probe.
struct LiveAnswer {
  std::string text;
  std::int64_t tokens = 0;
  double confidence = -1, confidence_geometric = -1;  ///< of a trial answer
};
/// Asks the model: `thinking` are the thinking tokens so far.
using LiveProbe = std::function<LiveAnswer(Probe, std::span<const std::int32_t> thinking)>;

struct LiveOptions {
  std::int32_t end_token = 0;             ///< ends the thinking
  std::vector<std::int32_t> stop_tokens;  ///< of the generation, the end token among them: they end the thinking too
  std::size_t max_thinking = 0;           ///< tokens at which thinking is cut
  bool record_trials = false;             ///< a trial answer at every transition word, asked for or not
  bool record_forced_answers = false;     ///< a forced answer at every sentence end
};

/// Watches one generation of thinking text, step by step: asks the detector where its granularity says so, stops the
/// generation when it decides to, and keeps the trace. A sentence end is certain only when the next token is known, so
/// that token is dropped at a stop; it was never shown. Not asked at the end of the thinking text, as in replay().
///
/// The generation must be allowed max_thinking + 1 tokens, so that the signals after the last are known.
class LiveRun final : public model::StepControl {
 public:
  using TokenText = std::function<std::string(std::int32_t)>;
  LiveRun(Detector& detector, LiveOptions options, TokenText text, LiveProbe probe);

  bool logits(const model::Step& step, std::span<float> values) override;
  bool chosen(const model::Step& step, std::int32_t token) override;

  /// Once generate() has returned.
  const Stop& stop() const { return stop_; }
  std::span<const std::int32_t> thinking() const { return thinking_; }
  /// What was seen, without the outcome; k_rcp, ids and texts are for the caller to fill in.
  Trace trace() const;

 private:
  class LiveView;
  bool ask(const View& view);
  bool end_sentence(bool wait, bool last);
  ProbeResult answer(Probe probe);
  const LiveAnswer& probed(Probe probe);
  void finish(Stop::Reason reason);

  Detector& detector_;
  LiveOptions options_;
  TokenText text_;
  LiveProbe probe_;
  SentenceSplitter splitter_;
  std::vector<std::int32_t> thinking_;
  EndSignals now_;                     ///< after the last thinking token
  bool closed_ = false;                ///< the last thinking token is the last of a sentence, whatever follows
  std::size_t sentence_ = 0;           ///< first token of the present sentence
  std::map<Probe, LiveAnswer> asked_;  ///< at the present token
  std::map<std::string, std::int32_t> answers_;
  Trace trace_;
  Stop stop_;
};

}  // namespace lowbit::early_exit
