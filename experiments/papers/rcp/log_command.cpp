// rcp log: traces of a text under a language model, float32 and with a quantised KV cache.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"
#include "experiments/core/paper_command.hpp"
#include "experiments/papers/rcp/line_writer.hpp"
#include "experiments/papers/rcp/model_log.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/sentences.hpp"
#include "sim/early_exit/trace_file.hpp"
#include "sim/model/model.hpp"
#include "sim/model/quantised_sites.hpp"
#include "sim/model/tokens.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {

using namespace rcp;
using Words = std::vector<std::string>;

constexpr const char* kCaches =
    "fp32,mxfp8_e4m3,int8:g32:s=fp16:asym,mxfp4,int4:g32:s=fp16:asym,int3:g32:s=fp16:asym,int2:g32:s=fp16:asym";

CommandLine declare(const std::string& program) {
  CommandLine line(program, "records ranks of an end token in a text under a language model");
  line.value("model", "M", "a name that scripts/get-model knows, or a Hugging Face model folder", Required{})
      .value("tokens", "FILE", "token numbers: a .npy vector, as scripts/tokenize writes it", Required{})
      .value("sentences", "FILE",
             "tokens up to each sentence's end: a .npy vector, as scripts/tokenize --sentences writes it (default: "
             "found in the tokens' text by the same rule)")
      .flag("wrapped", "without --sentences: lines are broken where they are full, only an empty line ends a sentence")
      .value("end-token", "ID", "number of the token whose rank is recorded", Required{})
      .value("kv", "LIST", "formats of cached keys and values, separated by commas; fp32: as they are", kCaches)
      .value("kv-transform", "T", "id, had:N or rhad:N:seed=S along the head, undone after quantising", "id")
      .value("context", "N", "most tokens a window; a window has whole sentences", "512")
      .value("windows", "N", "the first N windows only; 0: all", "0")
      .flag("verify", "find the ranks at sentence ends a second way, by sorting, and compare")
      .value("threads", "N", "threads (default: the CPUs this process may use)")
      .value("out", "FILE.jsonl", "file to write (default: stdout)")
      .abbreviation('o', "out")
      .flag("force", "replace it if it is there")
      .footer(
          "one trace (rcp-trace-1) a window and format, with the id NAME.WINDOW kv=FORMAT; keys and values are\n"
          "quantised per token along the head, after RoPE, and each token attends to the quantised cache, as in\n"
          "decoding token by token. `rcp change` compares the formats with fp32.\n");
  return line;
}

std::vector<std::string> split_caches(const std::string& text) {
  std::vector<std::string> caches;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string one = text.substr(begin, end - begin);
    if (one.empty()) throw_error(ExitCode::usage, "--kv: an empty name in '{}'", text);
    if (std::find(caches.begin(), caches.end(), one) != caches.end())
      throw_error(ExitCode::usage, "--kv: '{}' is named twice", one);
    caches.push_back(one);
    begin = end + 1;
  }
  return caches;
}

/// Hooks with one format of keys and values; all are made before the first pass, so that a wrong name costs nothing.
std::vector<model::Hooks> make_hooks(const model::Model& m, const std::vector<std::string>& caches,
                                     const std::string& transform, Threads& threads) {
  std::vector<model::Hooks> all;
  for (const std::string& cache : caches) {
    model::Hooks hooks(m);
    model::SiteOptions sites;
    if (cache != "fp32") sites.kv = cache, sites.kv_transform = transform;
    if (sites.any())
      for (const std::string& warning : attach(hooks, sites, threads).warnings)
        fmt::print(stderr, "rcp log: {}\n", warning);
    all.push_back(hooks);
  }
  return all;
}

struct Source {
  std::vector<std::int32_t> tokens;
  std::vector<std::string> pieces;  ///< text of each token
  std::vector<TextWindow> windows;
};

Source read_source(const CommandLine& line, const std::string& folder, const model::Config& config) {
  Source source;
  auto context = static_cast<std::size_t>(line.integer("context", 1, 1 << 30));
  if (!line.given("context")) context = std::min(context, config.context);
  if (context > config.context)
    throw_error(ExitCode::usage, "--context: {} exceeds the model's context of {}", context, config.context);
  source.tokens = model::read_tokens(line.text("tokens"), config.vocabulary);
  const bool given = line.given("sentences");
  if (given && line.given("wrapped"))
    throw_error(ExitCode::usage, "--wrapped says how sentences are found; --sentences gives them already");
  std::vector<std::size_t> ends;
  if (given) ends = read_sentence_ends(line.text("sentences"), source.tokens.size());
  if (!given || std::filesystem::is_regular_file(folder + "/tokenizer.json")) {
    const model::TokenText text(folder);
    for (const std::int32_t token : source.tokens) source.pieces.push_back(text.text({&token, 1}));
  }
  if (!given) ends = early_exit::sentence_ends(source.pieces, line.given("wrapped"));
  source.windows = text_windows(ends, context, static_cast<std::size_t>(line.integer("windows", 0, 1 << 30)));
  return source;
}

int log(const std::string& program, const Words& words) {
  CommandLine line = declare(program);
  if (!line.parse(words)) return 0;
  const std::vector<std::string> caches = split_caches(line.text("kv"));
  const bool rotates = parse_transform(line.text("kv-transform"))->block() > 0;
  if (rotates && caches == std::vector<std::string>{"fp32"})
    throw_error(ExitCode::usage, "--kv-transform {}: no format of keys and values to go with it",
                line.text("kv-transform"));
  const auto overwrite = line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse;
  const std::string folder = model::find_model(line.text("model"));
  const model::Config config = model::read_config(folder);
  LogOptions options;
  options.end_token =
      static_cast<std::int32_t>(line.integer("end-token", 0, static_cast<std::int64_t>(config.vocabulary) - 1));
  options.verify = line.given("verify");
  const Source source = read_source(line, folder, config);
  LineWriter out(line.text("out"), overwrite);
  Threads threads(line.given("threads") ? static_cast<std::size_t>(line.integer("threads", 1, 1024))
                                        : static_cast<std::size_t>(default_threads()));
  const model::Model m = model::Model::load(folder, threads);
  const auto hooks = make_hooks(m, caches, line.text("kv-transform"), threads);
  const std::string name = std::filesystem::path(line.text("tokens")).stem().string();
  const std::string end_text =
      source.pieces.empty() ? "" : early_exit::valid_utf8(model::TokenText(folder).text({&options.end_token, 1}));
  const std::string transform = line.text("kv-transform") == "id" ? "" : " " + line.text("kv-transform");
  std::size_t done = 0, sentences = 0;
  for (std::size_t w = 0; w < source.windows.size(); ++w) {
    for (std::size_t c = 0; c < caches.size(); ++c) {
      early_exit::Trace t = log_window(hooks[c], source.tokens, source.pieces, source.windows[w], options, threads);
      t.id = fmt::format("{}.{} kv={}{}", early_exit::valid_utf8(name), w, caches[c],
                         caches[c] == "fp32" ? "" : transform);
      t.model = early_exit::valid_utf8(line.text("model"));
      t.dataset = early_exit::valid_utf8(name);
      t.end_token = end_text;
      out.write(early_exit::to_json(t));
      ++done;
      if (isatty(STDERR_FILENO) != 0)
        fmt::print(stderr, "\r{} of {} passes ", done, source.windows.size() * caches.size());
    }
    sentences += source.windows[w].ends.size();
  }
  out.finish();
  fmt::print(stderr, "{}{} windows, {} sentences, {} formats\n", isatty(STDERR_FILENO) != 0 ? "\n" : "",
             source.windows.size(), sentences, caches.size());
  return 0;
}

LOWBIT_PAPER_COMMAND(rcp, log, "record ranks of an end token under a language model", log)

}  // namespace
}  // namespace lowbit
