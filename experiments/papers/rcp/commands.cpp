// rcp check, import, export, label: recorded traces as JSON Lines and as HDF5.
#include <fmt/format.h>

#include <filesystem>

#include <nlohmann/json.hpp>

#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"
#include "experiments/core/output_paths.hpp"
#include "experiments/core/paper_command.hpp"
#include "experiments/core/plain_text.hpp"
#include "experiments/papers/rcp/line_writer.hpp"
#include "experiments/papers/rcp/trace_input.hpp"
#include "experiments/papers/rcp/trace_store.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/generator.hpp"
#include "sim/early_exit/label.hpp"
#include "sim/early_exit/replay.hpp"

namespace lowbit {
namespace {

using namespace rcp;
using Words = std::vector<std::string>;

void print_text(const std::string& path, const Summary& s) {
  fmt::print("{}: {} traces, {} bad lines\n", path, s.report.traces, s.report.bad);
  fmt::print("  {} sentences, {} thinking tokens; {} simulated, {} with a known outcome, {} with k_rcp\n", s.sentences,
             s.tokens, s.simulated, s.with_outcome, s.with_k_rcp);
  fmt::print("  signals (traces):");
  for (const auto& [name, count] : s.signals) fmt::print(" {} {}", name, count);
  fmt::print("\n");
}

void print_json(const std::string& path, const Summary& s) {
  nlohmann::ordered_json signals;
  for (const auto& [name, count] : s.signals) signals[name] = count;
  const nlohmann::ordered_json json{{"file", path},
                                    {"traces", s.report.traces},
                                    {"bad_lines", s.report.bad},
                                    {"sentences", s.sentences},
                                    {"think_tok", s.tokens},
                                    {"simulated", s.simulated},
                                    {"with_outcome", s.with_outcome},
                                    {"with_k_rcp", s.with_k_rcp},
                                    {"signals", signals}};
  fmt::print("{}\n", json_text(json, 2));
}

int check(const std::string& program, const Words& words) {
  CommandLine line(program, "checks a file of traces, every line of it");
  add_traces(line, "traces as JSON Lines (rcp-trace-1) or as HDF5");
  add_reading(line).value("output", "FORM", "form of stdout: text or json", "text");
  line.footer("bad lines go to stderr as FILE:LINE: field: what is wrong; exit code 65 if there is one\n");
  if (!line.parse(words)) return 0;
  const std::string form = line.choice("output", {"text", "json"});
  const std::string path = traces_path(line);
  const Summary s = stream(path, reading(line), [](const early_exit::Trace&) { return std::nullopt; });
  (form == "json" ? print_json : print_text)(path, s);
  return s.report.bad == 0 ? 0 : static_cast<int>(ExitCode::bad_data);
}

/// The good lines of a file again, without a word about the others.
void again(const std::string& path, const early_exit::ReadOptions& options,
           const std::function<void(const early_exit::Trace&)>& use) {
  early_exit::read_traces(
      path, options,
      [&](early_exit::Trace&& t, std::size_t) {
        if (!storable(t)) use(t);
      },
      [](std::size_t, const early_exit::Problem&) {});
}

int import_traces(const std::string& program, const Words& words) {
  CommandLine line(program, "stores traces of JSON Lines as HDF5, one dataset a field, which xarray opens");
  add_traces(line, "traces as JSON Lines (rcp-trace-1)")
      .value("out", "FILE.h5", "file to write", Required{})
      .abbreviation('o', "out")
      .flag("force", "replace it if it is there");
  add_reading(line).footer(
      "bad lines go to stderr, are left out and counted in the attribute skipped_lines; exit code 65 if there is\n"
      "one. The file is read twice, to count and to write; memory does not depend on its size.\n");
  if (!line.parse(words)) return 0;
  const auto overwrite = line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse;
  const std::string in = traces_path(line), out = line.text("out");
  check_outputs({out}, line.given("force"));
  std::error_code ignored;
  if (std::filesystem::exists(in, ignored) && !std::filesystem::is_regular_file(in, ignored))
    throw_error(ExitCode::no_input, "'{}' is no regular file: it is read twice", in);
  if (is_hdf5(in)) throw_error(ExitCode::bad_data, "'{}' is an HDF5 file; JSON Lines are expected", in);
  TraceTotals totals;
  const Summary s = stream(in, reading(line), [&](const early_exit::Trace& t) {
    const auto problem = storable(t);
    if (!problem) totals.add(t);
    return problem;
  });
  if (totals.traces == 0) throw_error(ExitCode::bad_data, "'{}' has no good line; nothing is written", in);
  TraceWriter writer(out, overwrite, totals, s.report.bad);
  again(in, reading(line), [&](const early_exit::Trace& t) { writer.add(t); });
  writer.finish();
  fmt::print("{}: {} traces, {} bad lines left out -> {}\n", in, s.report.traces, s.report.bad, out);
  return s.report.bad == 0 ? 0 : static_cast<int>(ExitCode::bad_data);
}

void export_simulated(const CommandLine& line, LineWriter& out) {
  if (!line.words().empty()) throw_error(ExitCode::usage, "{}: give FILE.h5 or --profile, not both", line.program());
  const early_exit::Profile& profile = early_exit::profile(line.text("profile"));
  const auto seed = static_cast<std::uint64_t>(line.integer("seed", 0));
  const std::int64_t traces = line.integer("traces", 1, std::int64_t{1} << 40);
  for (std::int64_t id = 0; id < traces; ++id)
    out.write(early_exit::to_json(early_exit::generate(profile, seed, static_cast<std::uint64_t>(id)).trace));
}

int export_traces(const std::string& program, const Words& words) {
  CommandLine line(program, "writes traces as JSON Lines: those of an HDF5 file, or simulated ones");
  line.words("[FILE.h5]", "traces as import stores them", 0, 1)
      .value("profile", "NAME", "simulated traces of this profile instead of a file")
      .value("traces", "N", "number of simulated traces", "1000")
      .value("seed", "N", "seed of the simulated traces", "1")
      .value("out", "FILE.jsonl", "file to write (default: stdout)")
      .abbreviation('o', "out")
      .flag("force", "replace it if it is there");
  if (!line.parse(words)) return 0;
  if (line.words().empty() && !line.given("profile"))
    throw_error(ExitCode::usage, "{}: FILE.h5 or --profile NAME is expected", line.program());
  LineWriter out(line.text("out"), line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse);
  if (line.given("profile")) {
    export_simulated(line, out);
  } else {
    const std::string& path = line.words().front();
    read_columns(path, [&](early_exit::Trace&& t) { out.write(early_exit::to_json(t)); });
  }
  out.finish();
  return 0;
}

early_exit::LabelOptions label_options(const CommandLine& line) {
  early_exit::LabelOptions options;
  options.axes = static_cast<std::size_t>(line.integer("axes", 1, 4096));
  options.tail = static_cast<std::size_t>(line.integer("tail", 2, 1 << 20));
  options.regularizer = line.real("regularizer", 1e-12, 1e6);
  options.slack = line.real("slack", 1, 1e6);
  return options;
}

/// From the sampled contents where there are any, else from the forced answers; 0 where neither tells.
std::int32_t label_of(const early_exit::Trace& t, const early_exit::LabelOptions& options) {
  if (t.content_dim == 0 || t.contents.size() < options.tail + 1) return early_exit::label_answers(t);
  return early_exit::label_contents(t.contents, t.content_dim, options).k_rcp;
}

int label(const std::string& program, const Words& words) {
  const early_exit::LabelOptions defaults;
  CommandLine line(program, "labels the completion point k_rcp of traces that lack it");
  add_traces(line, "traces as JSON Lines (rcp-trace-1) or as HDF5")
      .value("out", "FILE.jsonl", "file to write (default: stdout)")
      .abbreviation('o', "out")
      .flag("force", "replace it if it is there")
      .value("axes", "R", "sampled contents: principal axes that are kept", fmt::format("{}", defaults.axes))
      .value("tail", "N", "last sentences that make up the settled state", fmt::format("{}", defaults.tail))
      .value("regularizer", "L", "lambda, relative to the mean variance", fmt::format("{}", defaults.regularizer))
      .value("slack", "F", "tolerances: this times the largest value of the tail", fmt::format("{}", defaults.slack));
  add_reading(line).footer(
      "with sampled contents (content_embedding, content_len) of more than N sentences: the first sentence at which\n"
      "the mean length has settled and the contents are distributed as those of the tail; else the sentence from\n"
      "which on the forced answer stays the last one. Traces with neither stay as they are; bad lines go to stderr\n"
      "and are left out; exit code 65 if there is one\n");
  if (!line.parse(words)) return 0;
  const early_exit::LabelOptions options = label_options(line);
  const std::string path = traces_path(line);
  LineWriter out(line.text("out"), line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse);
  std::size_t labelled = 0;
  const Summary s = stream(path, reading(line), [&](const early_exit::Trace& t) {
    early_exit::Trace copy = t;
    try {
      if (copy.k_rcp == 0) labelled += (copy.k_rcp = label_of(t, options)) != 0;
    } catch (const Error& e) {  // contents without a distribution
      return std::optional(early_exit::Problem{"content_embedding", e.what()});
    }
    out.write(early_exit::to_json(copy));
    return std::optional<early_exit::Problem>();
  });
  if (s.report.traces == 0) throw_error(ExitCode::bad_data, "'{}' has no good line", path);
  out.finish();
  fmt::print(stderr, "{}: {} traces, {} of them labelled, {} bad lines left out\n", path, s.report.traces, labelled,
             s.report.bad);
  return s.report.bad == 0 ? 0 : static_cast<int>(ExitCode::bad_data);
}

LOWBIT_PAPER_COMMAND(rcp, label, "label the completion point from sampled contents or forced answers", label)
LOWBIT_PAPER_COMMAND(rcp, check, "check a file of traces, line by line", check)
LOWBIT_PAPER_COMMAND(rcp, import, "store traces of JSON Lines as HDF5", import_traces)
LOWBIT_PAPER_COMMAND(rcp, export, "write traces as JSON Lines, stored or simulated ones", export_traces)

}  // namespace
}  // namespace lowbit
