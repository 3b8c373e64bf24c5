// rcp check, import, export: recorded traces as JSON Lines and as HDF5.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"
#include "experiments/core/paper_command.hpp"
#include "experiments/papers/rcp/line_writer.hpp"
#include "experiments/papers/rcp/trace_store.hpp"
#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"
#include "sim/early_exit/generator.hpp"
#include "sim/early_exit/label.hpp"
#include "sim/early_exit/replay.hpp"

namespace lowbit {
namespace {

using namespace rcp;
using Words = std::vector<std::string>;

/// What a file of traces holds.
struct Summary {
  early_exit::ReadReport report;
  std::uint64_t sentences = 0, tokens = 0;
  std::size_t simulated = 0, with_outcome = 0, with_k_rcp = 0;
  std::vector<std::pair<std::string, std::size_t>> signals{{"rank", 0}, {"logp", 0},     {"wait", 0}, {"boost", 0},
                                                           {"conf", 0}, {"conf_geo", 0}, {"ans", 0},  {"tok_rank", 0}};

  void add(const early_exit::Trace& t) {
    sentences += t.sentences();
    tokens += static_cast<std::uint64_t>(t.end.think_tok);
    simulated += t.simulated;
    with_outcome += t.end.ok != early_exit::Outcome::unknown;
    with_k_rcp += t.k_rcp != 0;
    const std::uint32_t has = early_exit::signals_of(t);
    constexpr std::uint32_t kBits[] = {early_exit::kRank,
                                       early_exit::kLogp,
                                       early_exit::kWait,
                                       early_exit::kBoost,
                                       early_exit::kTrialConfidence,
                                       early_exit::kTrialConfidenceGeometric,
                                       early_exit::kForcedAnswer,
                                       early_exit::kTokenRank};
    for (std::size_t i = 0; i < signals.size(); ++i) signals[i].second += (has & kBits[i]) != 0;
  }
};

void report_bad(const std::string& path, std::size_t line, const early_exit::Problem& problem) {
  if (problem.field.empty())
    fmt::print(stderr, "{}:{}: {}\n", path, line, problem.text);
  else
    fmt::print(stderr, "{}:{}: field '{}': {}\n", path, line, problem.field, problem.text);
}

/// What is wrong with a trace for the caller's purpose, or nothing.
using Use = std::function<std::optional<early_exit::Problem>(const early_exit::Trace&)>;

/// Streams a JSON Lines or HDF5 file of traces; bad lines are printed and counted.
Summary stream(const std::string& path, const early_exit::ReadOptions& options, const Use& use) {
  Summary summary;
  if (is_hdf5(path)) {
    read_columns(store::read_tree(path), path, [&](early_exit::Trace&& t) {
      use(t);
      summary.add(t);
      ++summary.report.traces;
    });
    return summary;
  }
  std::size_t unusable = 0;
  summary.report = early_exit::read_traces(
      path, options,
      [&](early_exit::Trace&& t, std::size_t line) {
        const auto problem = use(t);
        if (!problem) return summary.add(t);
        report_bad(path, line, *problem);
        ++unusable;
      },
      [&](std::size_t line, const early_exit::Problem& p) { report_bad(path, line, p); });
  summary.report.traces -= unusable;
  summary.report.bad += unusable;
  if (summary.report.traces + summary.report.bad == 0)
    throw_error(ExitCode::bad_data, "'{}' has blank lines alone; expected one JSON trace a line", path);
  return summary;
}

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
  fmt::print("{}\n", json.dump(2));
}

CommandLine& add_reading(CommandLine& line) {
  return line.value("threads", "N", "threads that parse (default: the CPUs this process may use)")
      .value("max-line", "BYTES", "longest line that is read; longer ones count as bad", "67108864");
}

early_exit::ReadOptions reading(const CommandLine& line) {
  early_exit::ReadOptions options;
  options.threads = line.given("threads") ? static_cast<int>(line.integer("threads", 1, 1024)) : default_threads();
  options.max_line = static_cast<std::size_t>(line.integer("max-line", 1, std::int64_t{1} << 40));
  return options;
}

int check(const std::string& program, const Words& words) {
  CommandLine line(program, "checks a file of traces, every line of it");
  line.words("FILE", "traces as JSON Lines (rcp-trace-1) or as HDF5", 1, 1);
  add_reading(line).value("output", "FORM", "form of stdout: text or json", "text");
  line.footer("bad lines go to stderr as FILE:LINE: field: what is wrong; exit code 65 if there is one\n");
  if (!line.parse(words)) return 0;
  const std::string form = line.choice("output", {"text", "json"});
  const std::string& path = line.words().front();
  const Summary s = stream(path, reading(line), [](const early_exit::Trace&) { return std::nullopt; });
  (form == "json" ? print_json : print_text)(path, s);
  return s.report.bad == 0 ? 0 : static_cast<int>(ExitCode::bad_data);
}

int import_traces(const std::string& program, const Words& words) {
  CommandLine line(program, "stores traces of JSON Lines as HDF5, one dataset a field, which xarray opens");
  line.words("FILE", "traces as JSON Lines (rcp-trace-1)", 1, 1)
      .value("out", "FILE.h5", "file to write", Required{})
      .abbreviation('o', "out")
      .flag("force", "replace it if it is there");
  add_reading(line).footer(
      "bad lines go to stderr, are left out and counted in the attribute skipped_lines; exit code 65 if there is "
      "one\n");
  if (!line.parse(words)) return 0;
  const auto overwrite = line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse;
  const std::string in = line.words().front(), out = line.text("out");
  check_output(out, overwrite);
  if (is_hdf5(in)) throw_error(ExitCode::bad_data, "'{}' is an HDF5 file; JSON Lines are expected", in);
  TraceColumns columns;
  const Summary s = stream(in, reading(line), [&](const early_exit::Trace& t) {
    const auto problem = storable(t);
    if (!problem) columns.add(t);
    return problem;
  });
  if (columns.traces() == 0) throw_error(ExitCode::bad_data, "'{}' has no good line; nothing is written", in);
  store::write_tree(out, columns.take(s.report.bad), overwrite);
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
    read_columns(store::read_tree(path), path, [&](early_exit::Trace&& t) { out.write(early_exit::to_json(t)); });
  }
  out.finish();
  return 0;
}

int label(const std::string& program, const Words& words) {
  CommandLine line(program, "labels the completion point k_rcp of traces that lack it, from their forced answers");
  line.words("FILE", "traces as JSON Lines (rcp-trace-1) or as HDF5", 1, 1)
      .value("out", "FILE.jsonl", "file to write (default: stdout)")
      .abbreviation('o', "out")
      .flag("force", "replace it if it is there");
  add_reading(line).footer(
      "the label is the sentence from which on the forced answer stays the last one; traces without answers stay as "
      "they "
      "are; bad lines go to stderr and are left out; exit code 65 if there is one\n");
  if (!line.parse(words)) return 0;
  LineWriter out(line.text("out"), line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse);
  std::size_t labelled = 0;
  const Summary s = stream(line.words().front(), reading(line), [&](const early_exit::Trace& t) {
    early_exit::Trace copy = t;
    if (copy.k_rcp == 0) labelled += (copy.k_rcp = early_exit::label_answers(t)) != 0;
    out.write(early_exit::to_json(copy));
    return std::optional<early_exit::Problem>();
  });
  if (s.report.traces == 0) throw_error(ExitCode::bad_data, "'{}' has no good line", line.words().front());
  out.finish();
  fmt::print(stderr, "{}: {} traces, {} of them labelled, {} bad lines left out\n", line.words().front(),
             s.report.traces, labelled, s.report.bad);
  return s.report.bad == 0 ? 0 : static_cast<int>(ExitCode::bad_data);
}

LOWBIT_PAPER_COMMAND(rcp, label, "label the completion point from forced answers", label)
LOWBIT_PAPER_COMMAND(rcp, check, "check a file of traces, line by line", check)
LOWBIT_PAPER_COMMAND(rcp, import, "store traces of JSON Lines as HDF5", import_traces)
LOWBIT_PAPER_COMMAND(rcp, export, "write traces as JSON Lines, stored or simulated ones", export_traces)

}  // namespace
}  // namespace lowbit
