#include "sim/early_exit/live.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lowbit::early_exit {

/// The view after the last thinking token; ranks are those of sentence ends or of every token.
class LiveRun::LiveView final : public View {
 public:
  LiveView(const std::vector<std::int32_t>& ranks, std::size_t tokens, const EndSignals& now)
      : ranks_(ranks), tokens_(tokens), now_(now) {}
  std::size_t step() const override { return ranks_.size() - 1; }
  std::int64_t tokens() const override { return static_cast<std::int64_t>(tokens_); }
  std::size_t history() const override { return ranks_.size(); }
  std::int64_t rank(std::size_t back) const override { return ranks_[ranks_.size() - 1 - back]; }
  double logp() const override { return now_.logp; }
  double boost() const override { return now_.boost; }

 private:
  const std::vector<std::int32_t>& ranks_;
  std::size_t tokens_;
  const EndSignals& now_;
};

LiveRun::LiveRun(Detector& detector, LiveOptions options, TokenText text, LiveProbe probe)
    : detector_(detector), options_(options), text_(std::move(text)), probe_(std::move(probe)) {
  detector_.reset();
}

bool LiveRun::logits(const model::Step& step, std::span<float> values) {
  if (step.index == 0) {
    trace_.vocab_size = static_cast<std::int64_t>(values.size());
    return true;
  }
  now_ = end_signals(values, options_.end_token);
  trace_.tok_rank.push_back(now_.rank);
  asked_.clear();
  return true;
}

const LiveAnswer& LiveRun::probed(Probe probe) {
  const auto found = asked_.find(probe);
  if (found != asked_.end()) return found->second;
  if (!probe_) throw std::logic_error("a detector probes, but nothing answers");
  return asked_.emplace(probe, probe_(probe, thinking_)).first->second;
}

ProbeResult LiveRun::answer(Probe probe) {
  const LiveAnswer& said = probed(probe);
  ProbeResult result;
  result.tokens = said.tokens;
  result.confidence = said.confidence;
  result.confidence_geometric = said.confidence_geometric;
  if (probe == Probe::forced_answer)
    result.answer = answers_.emplace(said.text, static_cast<std::int32_t>(answers_.size())).first->second;
  return result;
}

bool LiveRun::ask(const View& view) {
  Decision decision = detector_.step(view);
  while (decision.kind == Decision::kProbe) {
    const ProbeResult result = answer(decision.probe);
    stop_.probe_tok += result.tokens;
    decision = detector_.probed(view, result);
  }
  return decision.kind == Decision::kStop;
}

/// Records the sentence that the last thinking token ends; true: the detector stops here.
bool LiveRun::end_sentence(bool wait, bool last) {
  Trace& t = trace_;
  t.tok.push_back(static_cast<std::int32_t>(thinking_.size() - sentence_));
  t.rank.push_back(now_.rank);
  t.ties.push_back(now_.ties);
  t.logp.push_back(now_.logp);
  t.boost.push_back(now_.boost);
  t.wait.push_back(wait);
  sentence_ = thinking_.size();
  closed_ = false;
  if (options_.record_trials) {
    const LiveAnswer trial = wait ? probed(Probe::trial_answer) : LiveAnswer{};
    t.conf.push_back(trial.confidence);
    t.conf_geo.push_back(trial.confidence_geometric);
  }
  if (options_.record_forced_answers) {
    const ProbeResult forced = answer(Probe::forced_answer);
    t.ans.push_back(forced.answer);
    t.content_tok.push_back(static_cast<std::int32_t>(forced.tokens));
  }
  const Granularity granularity = detector_.info().granularity;
  if (last || granularity == Granularity::token || (granularity == Granularity::transition && !wait)) return false;
  return ask(LiveView(t.rank, thinking_.size(), now_));
}

void LiveRun::finish(Stop::Reason reason) {
  stop_.reason = reason;
  stop_.sentences = trace_.tok.size();
  stop_.think_tok = static_cast<std::int64_t>(thinking_.size());
}

bool LiveRun::chosen(const model::Step&, std::int32_t token) {
  const bool ends =
      std::find(options_.stop_tokens.begin(), options_.stop_tokens.end(), token) != options_.stop_tokens.end();
  const bool capped = thinking_.size() == options_.max_thinking;
  const std::string piece = text_(token);
  const SentenceStep said = ends ? SentenceStep{} : splitter_.add(piece);
  const bool wait = !ends && begins_transition(piece);
  if (!thinking_.empty()) {
    const bool over = ends || capped;
    const bool stops = !over && detector_.info().granularity == Granularity::token &&
                       ask(LiveView(trace_.tok_rank, thinking_.size(), now_));
    const bool last = stops || over;
    if (last || closed_ || said.closes_previous) {
      const bool stops_too = end_sentence(wait, last);
      if (stops || stops_too) return finish(Stop::kDetector), false;
    }
  }
  if (ends) return finish(Stop::kNaturalEnd), true;
  if (capped) return finish(Stop::kTokenCap), false;
  closed_ = said.closes_this;
  thinking_.push_back(token);
  return true;
}

Trace LiveRun::trace() const {
  Trace t = trace_;
  t.end_token_id = options_.end_token;
  t.end.natural = stop_.reason == Stop::kNaturalEnd;
  t.end.think_tok = stop_.think_tok;
  t.answers.resize(t.ans.empty() ? 0 : answers_.size());
  for (const auto& [text, id] : answers_)
    if (!t.ans.empty()) t.answers[static_cast<std::size_t>(id)] = text;
  if (std::any_of(t.boost.begin(), t.boost.end(), [](double b) { return std::isinf(b); })) t.boost.clear();
  return t;
}

}  // namespace lowbit::early_exit
