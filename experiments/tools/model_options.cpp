#include "experiments/tools/model_options.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "experiments/tools/threads.hpp"
#include "formats/error.hpp"
#include "formats/random.hpp"
#include "results/store/file_io.hpp"
#include "sim/model/model.hpp"
#include "sim/model/tokens.hpp"
#include "sim/source/input_file.hpp"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongestText = std::uint64_t{1} << 30;

// scripts/tokenize beside the build folder that this program runs from, or in $LOWBIT_SCRIPTS.
std::string tokenize_script() {
  if (const char* given = std::getenv("LOWBIT_SCRIPTS"); given != nullptr && *given != '\0')
    return std::string(given) + "/tokenize";
  std::error_code error;
  for (fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path(); !folder.empty();
       folder = folder.parent_path()) {
    if (fs::is_regular_file(folder / "scripts" / "tokenize", error)) return (folder / "scripts" / "tokenize").string();
    if (folder == folder.parent_path()) break;
  }
  throw_error(ExitCode::no_input, "scripts/tokenize is not beside this program; set LOWBIT_SCRIPTS or give --tokens");
}

void run_script(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw_error(ExitCode::bad_data, "'{}' failed (its message stands above); --tokens takes a ready .npy", words[0]);
}

std::string cache_folder(const std::string& model_folder) {
  if (const char* moved = std::getenv("LOWBIT_MODELS"); moved != nullptr && *moved != '\0')
    return std::string(moved) + "/.tokens";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return std::string(home) + "/.cache/lowbit/models/.tokens";
  return model_folder + "/.tokens";
}

}  // namespace

void declare_model(CommandLine& line) {
  line.value("model", "M", "a name that scripts/get-model knows, or a Hugging Face model folder", Required{});
  declare_threads(line);
}

void declare_tokens(CommandLine& line) {
  line.value("tokens", "FILE", "token numbers: a .npy vector of integers, as scripts/tokenize writes it");
  line.value("text", "FILE", "a text instead: tokenised without special tokens, the result is kept");
}

void declare_sites(CommandLine& line) {
  line.value("weights", "F", "format of all weights, along their input features (not embeddings and lm_head)");
  line.value("activations", "F", "format of the inputs of all linear layers, along the features");
  line.value("kv", "F", "format of cached keys and values: per token along the head, after RoPE, no residual window");
  line.value("transform", "T",
             "id, had:N, rhad:N:seed=S, orth:N:seed=S or dct:N, along the input features, on weights and activations",
             "id");
  line.value("kv-transform", "T", "the same along the head of keys and values, undone after quantising", "id");
  line.repeated("site", "PATTERN.SITE=F",
                "another format (or none) where module names match PATTERN; SITE: weight, input, output, "
                "q_pre, k_pre, q, k, v; the last rule wins");
  line.flag("include-lm-head", "let --weights, --activations and patterns take lm_head in");
  line.value("skip-layers", "LIST", "layers that --weights, --activations and --kv leave alone: 0,29 or 0-2");
  line.footer("F may end in :ts=static:FILE for second-level scales from the maxima in FILE (eval --save-maxima).");
}

std::vector<int> parse_numbers(const std::string& text, const std::string& place) {
  std::vector<int> out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size()), dash = text.find('-', begin);
    const std::string first = text.substr(begin, std::min(dash, end) - begin);
    const std::string last = dash < end ? text.substr(dash + 1, end - dash - 1) : first;
    const auto from = parse_integer(first, place, 0, 100000), to = parse_integer(last, place, 0, 100000);
    if (to < from) throw_error(ExitCode::usage, "{}: '{}-{}' runs backwards", place, first, last);
    for (std::int64_t i = from; i <= to; ++i) out.push_back(static_cast<int>(i));
    begin = end + 1;
  }
  return out;
}

model::SiteOptions site_options(const CommandLine& line) {
  model::SiteOptions options;
  options.weights = line.text("weights");
  options.activations = line.text("activations");
  options.kv = line.text("kv");
  options.transform = line.text("transform");
  options.kv_transform = line.text("kv-transform");
  options.include_lm_head = line.given("include-lm-head");
  options.skip_layers = parse_numbers(line.text("skip-layers"), "--skip-layers");
  options.sites = line.list("site");
  return options;
}

std::vector<std::int32_t> token_input(const CommandLine& line, const std::string& folder, std::size_t vocabulary) {
  if (line.given("tokens") == line.given("text")) throw_error(ExitCode::usage, "give either --tokens or --text");
  if (line.given("tokens")) return model::read_tokens(line.text("tokens"), vocabulary);
  return tokenise(folder, read_text(line.text("text"), kLongestText), vocabulary);
}

std::vector<std::int32_t> tokenise(const std::string& folder, const std::string& text, std::size_t vocabulary) {
  const std::string tokenizer = folder + "/tokenizer.json", cache = cache_folder(folder);
  const std::string key =
      fmt::format("{:016x}-{:016x}", stream_of(text), stream_of(read_text(tokenizer, std::uint64_t{256} << 20)));
  const std::string kept = cache + "/" + key + ".npy",
                    source = cache + "/" + key + "." + store::attempt_name() + ".txt";
  std::error_code error;
  if (!fs::is_regular_file(kept, error)) {
    const std::string script = tokenize_script();
    store::write_atomically(source, std::as_bytes(std::span(text)), store::Overwrite::replace);
    try {
      run_script({script, folder, source, "-o", kept, "--force"});
    } catch (...) {
      store::remove_file(source);
      throw;
    }
    store::remove_file(source);
  }
  return model::read_tokens(kept, vocabulary);
}

std::string grid_note(const model::Model& m) {
  for (const model::Parameter& p : m.parameters()) {
    if (p.layer != 0 || p.linear < 0) continue;
    const float* w = m.data(static_cast<std::size_t>(&p - m.parameters().data()));
    for (std::size_t i = 0; i + 32 <= p.rows * p.columns; i += 32)
      if (std::set<float>(w + i, w + i + 32).size() > 16) return "";
  }
  return "the weights of this model already lie on a 4-bit grid (at most 16 values in each group of 32): results of "
         "weight "
         "quantisation do not carry over to other models";
}

}  // namespace lowbit
