// What the commands on trace files share: reading options, the stream of a file, and its summary.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiments/core/command_line.hpp"
#include "sim/early_exit/trace_file.hpp"

namespace lowbit::rcp {

/// What a file of traces holds.
struct Summary {
  early_exit::ReadReport report;
  std::uint64_t sentences = 0, tokens = 0;
  std::size_t simulated = 0, with_outcome = 0, with_k_rcp = 0;
  /// Traces that carry each signal.
  std::vector<std::pair<std::string, std::size_t>> signals{{"rank", 0}, {"logp", 0},     {"wait", 0}, {"boost", 0},
                                                           {"conf", 0}, {"conf_geo", 0}, {"ans", 0},  {"tok_rank", 0}};
  /// Counts one good trace in.
  void add(const early_exit::Trace& trace);
};

/// What is wrong with a trace for the caller's purpose, or nothing.
using Use = std::function<std::optional<early_exit::Problem>(const early_exit::Trace&)>;

/// Streams a JSON Lines or HDF5 file of traces, or JSON Lines from a pipe; bad lines are printed on stderr as FILE:LINE
/// (of HDF5: FILE:TRACE, from 1) and counted, and so are those that `use` finds unusable. Error: no such file, no line
/// at all, a damaged HDF5 file.
Summary stream(const std::string& path, const early_exit::ReadOptions& options, const Use& use);

/// Declares the file of traces: a word, or --traces-file as the figures call it.
CommandLine& add_traces(CommandLine& line, const std::string& help);
/// Its path. Error (usage): none, or both.
std::string traces_path(const CommandLine& line);

/// Declares --threads and --max-line.
CommandLine& add_reading(CommandLine& line);
/// What they say. Error (usage): outside their ranges.
early_exit::ReadOptions reading(const CommandLine& line);

}  // namespace lowbit::rcp
