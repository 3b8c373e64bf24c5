#include "experiments/papers/rcp/trace_input.hpp"

#include <fmt/format.h>

#include "experiments/core/cli.hpp"
#include "experiments/papers/rcp/trace_store.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/replay.hpp"

namespace lowbit::rcp {
namespace {

void report_bad(const std::string& path, std::size_t line, const early_exit::Problem& problem) {
  if (problem.field.empty())
    fmt::print(stderr, "{}:{}: {}\n", path, line, problem.text);
  else
    fmt::print(stderr, "{}:{}: field '{}': {}\n", path, line, problem.field, problem.text);
}

}  // namespace

void Summary::add(const early_exit::Trace& t) {
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

Summary stream(const std::string& path, const early_exit::ReadOptions& options, const Use& use) {
  Summary summary;
  if (is_hdf5(path)) {
    std::size_t trace = 0;
    read_columns(path, [&](early_exit::Trace&& t) {
      ++trace;
      const auto problem = use(t);
      if (problem) {
        report_bad(path, trace, *problem);
        ++summary.report.bad;
        return;
      }
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

CommandLine& add_traces(CommandLine& line, const std::string& help) {
  return line.words("FILE", help, 0, 1).value("traces-file", "FILE", help).hide("traces-file");
}

std::string traces_path(const CommandLine& line) {
  if (line.words().empty() != line.given("traces-file"))
    throw_error(ExitCode::usage, "{}: {}", line.program(),
                line.words().empty() ? "FILE is expected, the traces" : "FILE is given twice");
  return line.words().empty() ? line.text("traces-file") : line.words().front();
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

}  // namespace lowbit::rcp
