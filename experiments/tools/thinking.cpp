#include "experiments/tools/thinking.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "experiments/core/output_paths.hpp"
#include "experiments/tools/model_options.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/model_probe.hpp"
#include "sim/early_exit/registry.hpp"
#include "sim/early_exit/trace_file.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kTrialTokens = 20;  // DEER's limit

std::set<std::string> probe_names(const std::string& text) {
  std::set<std::string> names;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    if (name != "trial" && name != "forced")
      throw_error(ExitCode::usage, "--record-probes: '{}' is not accepted; trial and forced are", name);
    names.insert(name);
    begin = end + 1;
  }
  return names;
}

void write_record(const ThinkingOptions& options, early_exit::Trace trace) {
  if (trace.sentences() == 0)
    throw_error(ExitCode::bad_data, "--record: nothing was thought; a trace has at least one sentence");
  const std::string json = early_exit::to_json(trace) + "\n";
  store::write_atomically(options.record, std::as_bytes(std::span(json)), options.overwrite);
}

}  // namespace

std::size_t ThinkingOptions::longest() const {
  const std::size_t trial = wants_trials ? trial_prompt.size() + kTrialTokens : 0;
  return std::max(trial, 1 + answer_tokens);
}

void declare_thinking(CommandLine& line) {
  line.value("early-exit", "RULE",
             "stop the thinking text by a rule: rcpd, rank:at=1, deer:threshold=0.9, ... as in rcp");
  line.value("end-token", "ID", "number of the token that ends the thinking; --max-tokens then limits the thinking");
  line.value("answer-tokens", "N", "at most so many tokens of an answer behind the end token; 0: none", "256");
  line.value("trial-prompt", "TEXT", "put behind the thinking before a trial answer (deer)",
             "\n**Final Answer**\n\\boxed{");
  line.value("record", "FILE", "write what the rule saw as a trace (one line of JSON, rcp-trace-1)");
  line.value("record-probes", "LIST",
             "record trial answers (trial) at transition words, forced answers (forced) at every sentence, or both");
  line.flag("force", "replace an existing file of --record");
}

std::optional<ThinkingOptions> thinking_options(const CommandLine& line, const std::string& folder,
                                                const model::Config& config) {
  for (const char* name : {"early-exit", "answer-tokens", "trial-prompt", "record", "record-probes", "force"})
    if (line.given(name) && !line.given("end-token"))
      throw_error(ExitCode::usage, "--{} needs --end-token, the token that ends the thinking", name);
  if (!line.given("end-token")) return std::nullopt;
  ThinkingOptions o;
  if (line.given("early-exit")) o.detector = line.text("early-exit");
  const std::uint32_t signals = early_exit::make_detector(o.detector)->info().signals;
  o.end_token =
      static_cast<std::int32_t>(line.integer("end-token", 0, static_cast<std::int64_t>(config.vocabulary) - 1));
  o.answer_tokens = static_cast<std::size_t>(line.integer("answer-tokens", 0, 1 << 20));
  const auto probes = probe_names(line.text("record-probes"));
  o.record = line.text("record");
  if (!probes.empty() && o.record.empty()) throw_error(ExitCode::usage, "--record-probes needs --record");
  o.overwrite = line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse;
  check_outputs({o.record}, line.given("force"));
  o.record_trials = probes.count("trial") != 0;
  o.record_answers = probes.count("forced") != 0;
  o.wants_trials =
      o.record_trials || (signals & (early_exit::kTrialConfidence | early_exit::kTrialConfidenceGeometric));
  o.wants_answers = o.record_answers || (signals & early_exit::kForcedAnswer);
  if (o.wants_answers && o.answer_tokens == 0)
    throw_error(ExitCode::usage, "forced answers need --answer-tokens of at least 1");
  if (o.wants_trials && !line.text("trial-prompt").empty())
    o.trial_prompt = tokenise(folder, line.text("trial-prompt"), config.vocabulary);
  return o;
}

Thought think(const model::Hooks& hooks, model::KvCache& cache, const std::vector<std::int32_t>& prompt,
              model::GenerateOptions generation, const ThinkingOptions& options,
              const early_exit::LiveRun::TokenText& text, const std::string& model_name, Threads& threads,
              const std::function<void(std::int32_t)>& emit) {
  const auto detector = early_exit::make_detector(options.detector);
  const std::vector<std::int32_t> end_of_answer = generation.stop_tokens;
  generation.stop_tokens.push_back(options.end_token);
  const early_exit::LiveProbe probe = early_exit::model_probe(
      hooks,
      {prompt, options.end_token, options.trial_prompt, generation.stop_tokens, kTrialTokens, options.answer_tokens},
      text, threads);
  early_exit::LiveRun run(
      *detector,
      {options.end_token, generation.stop_tokens, generation.max_tokens, options.record_trials, options.record_answers},
      text, probe);
  Thought thought;
  std::vector<std::int32_t> rest = prompt;  // what the cache has not seen yet
  if (detector->thinks()) {
    ++generation.max_tokens;  // the signals after the last token
    thought.thinking = model::generate(hooks, cache, prompt, generation, threads, &run, emit);
    thought.stop = run.stop();
    rest.clear();
  } else {
    thought.stop.reason = early_exit::Stop::kNoThinking;
  }
  rest.push_back(options.end_token);
  if (options.answer_tokens > 0) {
    if (emit) emit(options.end_token);
    model::GenerateOptions answer = generation;
    answer.max_tokens = options.answer_tokens;
    answer.stop_tokens = end_of_answer;
    thought.answer = model::generate(hooks, cache, rest, answer, threads, nullptr, emit);
    thought.stop.content_tok = static_cast<std::int64_t>(thought.answer.size());
  }
  if (!options.record.empty()) {
    early_exit::Trace trace = run.trace();
    trace.id = std::filesystem::path(options.record).stem().string();
    trace.model = model_name;
    trace.end_token = text(options.end_token);
    trace.end.content_tok = thought.stop.content_tok;
    for (std::string* field : {&trace.id, &trace.model, &trace.end_token}) *field = early_exit::valid_utf8(*field);
    write_record(options, std::move(trace));
  }
  return thought;
}

}  // namespace lowbit
