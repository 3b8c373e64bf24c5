// lowbit eval: perplexity of a model with formats at its sites, and its divergence from the model as it is.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "experiments/tools/model_options.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/threads.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "results/store/file_io.hpp"
#include "sim/metric/quantiles.hpp"
#include "sim/model/compare.hpp"
#include "sim/model/tokens.hpp"
#include "sim/weights/saved_model.hpp"

namespace lowbit {
namespace {

using model::TokenComparison;

CommandLine declare() {
  CommandLine line("lowbit eval",
                   "perplexity of a language model with formats at its sites, and KL from the model as it is");
  declare_model(line);
  declare_tokens(line);
  declare_sites(line);
  line.value("context", "N", "tokens a window; windows do not overlap, a last partial one is dropped", "512");
  line.value("windows", "N", "evaluate the first N windows only; 0: all", "0");
  line.value("save-maxima", "PATH", "write the largest magnitude of each quantised site as JSON, for ts=static");
  line.flag("force", "replace an existing file of --save-maxima");
  line.flag("allow-calibration-text", "evaluate a model of lowbit quantize on the text that it was calibrated on");
  declare_output(line);
  return line;
}

void show_progress(std::size_t done, std::size_t all, double seconds) {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r{} of {} windows, {:.0f} s left ", done, all,
             seconds / static_cast<double>(done) * static_cast<double>(all - done));
  if (done == all) fmt::print(stderr, "\n");
}

void put(Record& record, const std::string& name, const model::Estimate& estimate) {
  record[name] = estimate.value;
  if (estimate.standard_error)
    record[name + "_stderr"] = *estimate.standard_error;
  else
    record[name + "_stderr"] = nullptr;
}

void put_divergence(Record& record, const model::WindowComparisons& windows) {
  put(record, "perplexity_reference", model::perplexity(windows, &TokenComparison::reference_loss));
  put(record, "kl_top25", model::estimate(windows, [](const TokenComparison& t) { return t.kl_top; }));
  put(record, "kl_full", model::estimate(windows, [](const TokenComparison& t) { return t.kl_full; }));
  std::vector<double> divergences;
  for (const auto& window : windows)
    for (const TokenComparison& token : window) divergences.push_back(token.kl_full);
  const Quantiles q = quantiles(divergences);
  record["kl_quantiles"] = Record{{"min", q.min}, {"q1", q.q1}, {"median", q.median}, {"q3", q.q3}, {"max", q.max}};
  model::Estimate squares = model::estimate(windows, [](const TokenComparison& t) { return t.delta_p * t.delta_p; });
  squares.value = std::sqrt(squares.value);
  if (squares.standard_error)
    *squares.standard_error = squares.value > 0 ? *squares.standard_error / (2 * squares.value) : 0;
  put(record, "rms_delta_p", squares);
  put(record, "same_top", model::estimate(windows, [](const TokenComparison& t) { return t.same_top ? 1.0 : 0.0; }));
}

model::WindowComparisons evaluate(const model::Model& m, const model::Hooks& hooks, bool changed,
                                  std::span<const std::span<const std::int32_t>> windows, Threads& threads,
                                  double& seconds) {
  const model::Hooks reference(m);
  model::WindowComparisons all;
  const auto start = std::chrono::steady_clock::now();
  for (const auto window : windows) {
    auto one = changed ? model::compare_windows(reference, hooks, {&window, 1}, threads)
                       : model::evaluate_windows(hooks, {&window, 1}, threads);
    all.push_back(std::move(one.front()));
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    show_progress(all.size(), windows.size(), seconds);
  }
  return all;
}

// A text that holds the first calibration tokens of a model of lowbit quantize is the calibration text.
void check_text(const CommandLine& line, const std::vector<std::int32_t>& begins,
                std::span<const std::span<const std::int32_t>> windows) {
  if (begins.empty() || line.given("allow-calibration-text")) return;
  const auto *first = windows.front().data(), *end = windows.back().data() + windows.back().size();
  if (std::search(first, end, begins.begin(), begins.end()) != end)
    throw_error(
        ExitCode::usage,
        "the text holds the tokens that the model was calibrated on; --allow-calibration-text evaluates it anyway");
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const model::SiteOptions options = site_options(line);
  const auto context = static_cast<std::size_t>(line.integer("context", 2, 1 << 30));
  const auto limit = static_cast<std::size_t>(line.integer("windows", 0, 1 << 30));
  const auto overwrite = line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse;
  check_outputs({line.text("save-maxima")}, line.given("force"));
  if (line.given("save-maxima") && !options.any())
    throw_error(ExitCode::usage, "--save-maxima needs formats whose sites are watched");
  Threads threads(static_cast<std::size_t>(thread_count(line)));
  const std::string folder = model::find_model(line.text("model"));
  const model::Config config = model::read_config(folder);
  const std::vector<std::int32_t> tokens = token_input(line, folder, config.vocabulary);
  const auto windows = model::windows(tokens, context, limit, config.context);
  const model::Model m = model::Model::load(folder, threads);

  model::Hooks hooks(m);
  const bool saved = weights::is_saved(folder);
  if (saved && options.any())
    throw_error(ExitCode::usage, "'{}' says in lowbit.json how it is quantised; no other formats are accepted", folder);
  const weights::SavedSummary made = saved ? weights::attach_saved(hooks, folder) : weights::SavedSummary{};
  check_text(line, made.calibration_begins, windows);
  model::Maxima maxima;
  const model::SiteSummary summary = attach(hooks, options, threads, line.given("save-maxima") ? &maxima : nullptr);
  for (const std::string& warning : summary.warnings) fmt::print(stderr, "lowbit eval: {}\n", warning);
  double seconds = 0;
  const auto result = evaluate(m, hooks, options.any(), windows, threads, seconds);

  Record record{{"model", line.text("model")}};
  put(record, "perplexity", model::perplexity(result, &TokenComparison::loss));
  if (options.any()) put_divergence(record, result);
  record["bits_weight"] = saved ? made.bits_weight : summary.bits_weight;
  record["bits_activation"] = saved ? made.bits_activation : summary.bits_activation;
  record["bits_kv"] = summary.bits_kv;
  record["tokens"] = windows.size() * context;
  record["tokens_scored"] = windows.size() * (context - 1);
  record["windows"] = windows.size();
  record["context"] = context;
  record["seconds"] = seconds;
  if (summary.bits_weight < 32)
    if (const std::string note = grid_note(m); !note.empty()) record["note"] = note;
  print_record(record, form);  // first: what took so long is not lost with a disk that is full
  if (line.given("save-maxima")) {
    const std::string json = model::to_json(maxima);
    store::write_atomically(line.text("save-maxima"), std::as_bytes(std::span(json)), overwrite);
  }
  return 0;
}

LOWBIT_VERB(eval, "perplexity and KL of a language model with formats at its sites", run)

}  // namespace
}  // namespace lowbit
