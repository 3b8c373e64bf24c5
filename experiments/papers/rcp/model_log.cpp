#include "experiments/papers/rcp/model_log.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "formats/error.hpp"
#include "sim/early_exit/sentences.hpp"
#include "sim/early_exit/signals.hpp"
#include "sim/model/forward.hpp"
#include "sim/model/tokens.hpp"

namespace lowbit::rcp {

std::vector<TextWindow> text_windows(std::span<const std::size_t> ends, std::size_t context, std::size_t limit) {
  std::vector<TextWindow> windows;
  std::size_t begin = 0;  // of the sentence
  for (const std::size_t end : ends) {
    if (end - begin > context)
      throw_error(ExitCode::bad_data, "the sentence of tokens {} to {} is longer than the context of {}", begin,
                  end - 1, context);
    if (windows.empty() || end - windows.back().first > context) {
      if (limit > 0 && windows.size() == limit) break;
      windows.push_back({begin, {}});
    }
    windows.back().ends.push_back(end - windows.back().first);
    begin = end;
  }
  return windows;
}

std::vector<std::size_t> read_sentence_ends(const std::string& path, std::size_t tokens) {
  // the same kind of file as tokens; a number up to `tokens` is accepted
  const auto numbers = model::read_tokens(path, tokens + 1);
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto end = static_cast<std::size_t>(numbers[i]);
    if (end <= (ends.empty() ? 0 : ends.back()))
      throw_error(ExitCode::bad_data, "'{}': sentence {} ends behind {} tokens, the one before it behind {}", path,
                  i + 1, end, ends.empty() ? 0 : ends.back());
    ends.push_back(end);
  }
  return ends;
}

namespace {

void add_sentence(early_exit::Trace& t, std::span<const float> logits, std::size_t tokens, const LogOptions& options) {
  const early_exit::EndSignals s = early_exit::end_signals(logits, options.end_token);
  if (options.verify) {
    const early_exit::EndSignals sorted = early_exit::end_rank_by_sorting(logits, options.end_token);
    if (sorted.rank != s.rank || sorted.ties != s.ties)
      throw std::logic_error(fmt::format("rank {} with {} ties by counting, {} with {} by sorting", s.rank, s.ties,
                                         sorted.rank, sorted.ties));
  }
  t.tok.push_back(static_cast<std::int32_t>(tokens));
  t.rank.push_back(s.rank);
  t.ties.push_back(s.ties);
  t.logp.push_back(s.logp);
  t.boost.push_back(s.boost);
}

}  // namespace

early_exit::Trace log_window(const model::Hooks& hooks, std::span<const std::int32_t> tokens,
                             std::span<const std::string> pieces, const TextWindow& window, const LogOptions& options,
                             Threads& threads) {
  const model::TokenSpan span{tokens.subspan(window.first, window.tokens()), nullptr};
  const model::PassResult pass = model::forward(hooks, {&span, 1}, threads);
  early_exit::Trace t;
  t.end_token_id = options.end_token;
  t.vocab_size = static_cast<std::int64_t>(hooks.model().config().vocabulary);
  std::size_t sentence = 0, begin = 0;
  model::for_each_logits(hooks, pass, threads, [&](std::size_t first, model::Rows rows) {
    for (std::size_t r = 0; r < rows.rows; ++r) {
      const std::span<const float> logits(rows.row(r), rows.columns);
      t.tok_rank.push_back(early_exit::end_rank(logits, options.end_token));
      const std::size_t seen = first + r + 1;
      if (seen != window.ends[sentence]) continue;
      add_sentence(t, logits, seen - begin, options);
      const std::size_t next = window.first + seen;
      t.wait.push_back(next < pieces.size() && early_exit::begins_transition(pieces[next]));
      begin = seen;
      ++sentence;
    }
  });
  if (std::any_of(t.boost.begin(), t.boost.end(), [](double b) { return std::isinf(b); })) t.boost.clear();
  t.end.natural = false;
  t.end.think_tok = static_cast<std::int64_t>(window.tokens());
  return t;
}

}  // namespace lowbit::rcp
