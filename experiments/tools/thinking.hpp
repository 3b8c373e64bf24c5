// Generation with a thinking text: early-exit detectors at work, and the trace of what they saw.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "experiments/core/command_line.hpp"
#include "results/store/file_io.hpp"
#include "sim/early_exit/live.hpp"
#include "sim/model/config.hpp"
#include "sim/model/generate.hpp"

namespace lowbit {

/// Declares --early-exit, --end-token, --answer-tokens, --trial-prompt, --record, --record-probes, --force.
void declare_thinking(CommandLine& line);

struct ThinkingOptions {
  std::string detector = "full";
  std::int32_t end_token = -1;
  std::size_t answer_tokens = 0;
  std::vector<std::int32_t> trial_prompt;
  bool wants_trials = false, wants_answers = false;  ///< probes that the detector or the record asks for
  bool record_trials = false, record_answers = false;
  std::string record;  ///< empty: none
  store::Overwrite overwrite = store::Overwrite::refuse;
  std::size_t longest() const;  ///< tokens beyond prompt and thinking that may come
};

/// Nothing where none of the options is given. Error (usage): options that miss each other, an unknown detector, an end
/// token outside the vocabulary. `folder`: of the model, for the trial prompt.
std::optional<ThinkingOptions> thinking_options(const CommandLine& line, const std::string& folder,
                                                const model::Config& config);

struct Thought {
  std::vector<std::int32_t> thinking, answer;
  early_exit::Stop stop;
};

/// Thinks until the detector, the model or generation.max_tokens ends it, puts the end token behind it and lets the
/// model answer. Writes the record where one is asked for. `emit` sees thinking, end token and answer.
Thought think(const model::Hooks& hooks, model::KvCache& cache, const std::vector<std::int32_t>& prompt,
              model::GenerateOptions generation, const ThinkingOptions& options,
              const early_exit::LiveRun::TokenText& text, const std::string& model_name, Threads& threads,
              const std::function<void(std::int32_t)>& emit);

}  // namespace lowbit
