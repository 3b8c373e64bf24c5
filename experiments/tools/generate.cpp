// lowbit generate: a quick look at what a model says with formats at its sites.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <new>

#include "experiments/core/signals.hpp"
#include "experiments/tools/model_options.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/thinking.hpp"
#include "experiments/tools/threads.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "sim/model/generate.hpp"
#include "sim/model/model.hpp"
#include "sim/model/tokens.hpp"

namespace lowbit {
namespace {

CommandLine declare() {
  CommandLine line("lowbit generate", "continues a text with a language model, token by token through its cache");
  declare_model(line);
  line.value("prompt", "TEXT", "the text to continue (no chat template is applied)");
  line.value("tokens", "FILE", "token numbers instead: a .npy vector of integers");
  line.value("max-tokens", "N", "at most so many new tokens", "64");
  line.value("temperature", "T", "0: the likeliest token each time; else draws from softmax(logits / T)", "0");
  line.value("seed", "N", "of the draws", "1");
  declare_thinking(line);
  declare_sites(line);
  declare_output(line);
  return line;
}

// A text of so many tokens is worth the time of copying the weights.
constexpr std::size_t kManyTokens = 128;

// Text comes out as soon as its characters are complete.
class Printer {
 public:
  explicit Printer(const model::TokenText& text) : text_(text) {}
  void operator()(std::int32_t token) {
    const std::string piece = text_.text({&token, 1});
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  }

 private:
  const model::TokenText& text_;
};

// Those that passes read; without room for them they stay where they are.
void copy_weights(model::Model& m, const model::Hooks& hooks, Threads& threads) {
  try {
    m.copy_weights(threads, [&](std::size_t parameter) { return !hooks.replaced(parameter); });
  } catch (const std::bad_alloc&) {
  }
}

std::string stop_line(const early_exit::Stop& stop) {
  return fmt::format("thinking ended by {}: {} sentences, {} tokens; {} tokens of probes", reason_name(stop.reason),
                     stop.sentences, stop.think_tok, stop.probe_tok);
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const model::SiteOptions sites = site_options(line);
  if (line.given("prompt") == line.given("tokens")) throw_error(ExitCode::usage, "give either --prompt or --tokens");
  model::GenerateOptions options;
  options.max_tokens = static_cast<std::size_t>(line.integer("max-tokens", 1, 1 << 20));
  options.temperature = line.real("temperature", 0, 1000);
  options.seed = static_cast<std::uint64_t>(line.integer("seed", 0));
  Threads threads(static_cast<std::size_t>(thread_count(line)));
  const std::string folder = model::find_model(line.text("model"));
  const model::Config config = model::read_config(folder);
  options.stop_tokens = config.end_tokens;
  const auto thinking = thinking_options(line, folder, config);
  const auto prompt = line.given("prompt") ? tokenise(folder, line.text("prompt"), config.vocabulary)
                                           : model::read_tokens(line.text("tokens"), config.vocabulary);
  const std::size_t answer = thinking ? thinking->longest() : 0;
  if (prompt.size() + options.max_tokens + answer > config.context)
    throw_error(ExitCode::usage, "{} prompt tokens and {} new ones exceed the model's context of {}", prompt.size(),
                options.max_tokens + answer, config.context);
  const model::TokenText text(folder);
  watch_mapped_files("lowbit", folder);
  model::Model m = model::Model::load(folder, threads, model::Weights::mapped);
  model::Hooks hooks(m);
  for (const std::string& warning : attach(hooks, sites, threads).warnings)
    fmt::print(stderr, "lowbit generate: {}\n", warning);

  const auto cache = hooks.make_cache();
  const auto start = std::chrono::steady_clock::now();
  Printer printer(text);
  std::size_t tokens = 0;
  const auto emit = [&](std::int32_t token) {
    if (form == OutputForm::text) printer(token);
    if (++tokens == kManyTokens) copy_weights(m, hooks, threads);
  };
  Thought thought;
  if (thinking)
    thought = think(
        hooks, *cache, prompt, options, *thinking,
        [&](std::int32_t token) {
          return text.text({&token, 1});
        },
        line.text("model"), threads, emit);
  else
    thought.thinking = model::generate(hooks, *cache, prompt, options, threads, nullptr, emit);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (form == OutputForm::text) {
    fmt::print("\n");
    if (thinking) fmt::print(stderr, "{}\n", stop_line(thought.stop));
    return 0;
  }
  Record record{{"model", line.text("model")},
                {"prompt_tokens", prompt.size()},
                {"tokens", thought.thinking},
                {"text", text.text(thought.thinking)}};
  if (thinking) {
    record["stopped_by"] = reason_name(thought.stop.reason);
    record["sentences"] = thought.stop.sentences;
    record["think_tok"] = thought.stop.think_tok;
    record["probe_tok"] = thought.stop.probe_tok;
    record["answer_tokens"] = thought.answer;
    record["answer"] = text.text(thought.answer);
  }
  record["cache_bytes"] = cache->bytes();
  record["seconds"] = seconds;
  print_record(record, form);
  return 0;
}

LOWBIT_VERB(generate, "continue a text with a language model", run)

}  // namespace
}  // namespace lowbit
