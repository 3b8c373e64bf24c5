// Probes that the model itself answers: a trial answer with its confidence, and the answer forced after the end token.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "sim/early_exit/live.hpp"
#include "sim/model/hooks.hpp"

namespace lowbit::early_exit {

struct ProbeOptions {
  std::vector<std::int32_t> prompt;        ///< what stands before the thinking
  std::int32_t end_token = 0;              ///< put behind the thinking before a forced answer
  std::vector<std::int32_t> trial_prompt;  ///< put behind the thinking before a trial answer
  std::vector<std::int32_t> stop_tokens;   ///< end an answer
  std::size_t trial_tokens = 20;           ///< at most; DEER's limit
  std::size_t answer_tokens = 256;         ///< at most, of a forced answer
};

/// Answers are greedy and start from an empty cache of the hooks' kind, so that they leave the generation untouched;
/// the cost is that of reading the text again. Confidence: the mean probability of the answer's tokens (arithmetic,
/// geometric), in double. A trial answer without any token has confidence -1, unknown. Text is cut of leading and
/// trailing blanks. `hooks` and `threads` must outlive the function; error: a text beyond the model's context.
LiveProbe model_probe(const model::Hooks& hooks, ProbeOptions options, LiveRun::TokenText text, Threads& threads);

}  // namespace lowbit::early_exit
