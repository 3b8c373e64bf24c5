// Trace files: JSON Lines ("rcp-trace-1", one trace a line), read as a stream and checked line by line.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "sim/early_exit/trace.hpp"

namespace lowbit::early_exit {

inline constexpr std::string_view kTraceFormat = "rcp-trace-1";

/// What is wrong with a trace: the field and one line of text that names the values.
struct Problem {
  std::string field, text;
};

/// Every check of the format: equal lengths, tok >= 1, sum(tok) = think_tok, 1 <= rank <= vocab_size, logp <= 0 and
/// logp <= -ln(rank) (tolerance 1e-5), stages 0..3 that never decrease (0 = unknown), confidences in [0, 1] or -1,
/// 0 <= k_rcp <= sentences, sum(tok) entries of tok_rank. The first violation, or nullopt.
std::optional<Problem> check(const Trace& trace);

/// Parses one line. Errors come back as a Problem (field "" where the line is no JSON); the trace is checked too.
class TraceParser {
 public:
  TraceParser();
  ~TraceParser();
  /// `line` must be followed by kPadding readable bytes.
  std::optional<Problem> parse(std::string_view line, Trace& trace);
  static constexpr std::size_t kPadding = 64;

 private:
  struct State;
  State* state_;
};

struct ReadOptions {
  int threads = 1;
  std::size_t max_line = std::size_t{64} << 20;  ///< bytes; longer lines count as bad
  std::size_t batch = std::size_t{4} << 20;      ///< bytes handed to a thread at a time; memory is a few batches a thread
};

struct ReadReport {
  std::size_t lines = 0, traces = 0, bad = 0;
  std::uint64_t bytes = 0;
};

/// Streams `path`: good traces go to on_trace in file order, bad lines to on_bad (1-based line number); a bad line never
/// stops the reading. Blank lines are skipped. Results do not depend on `threads`. Error: missing, unreadable or empty file.
ReadReport read_traces(const std::string& path, const ReadOptions& options,
                       const std::function<void(Trace&&, std::size_t line)>& on_trace,
                       const std::function<void(std::size_t line, const Problem&)>& on_bad);

/// The text with every byte that is no UTF-8 replaced by U+FFFD: what a line of JSON can hold.
std::string valid_utf8(const std::string& text);

/// One line of JSON without the newline; read back it gives the same trace (numbers keep all bits).
std::string to_json(const Trace& trace);

}  // namespace lowbit::early_exit
