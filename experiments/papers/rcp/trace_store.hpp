// Recorded traces as an HDF5 file: one dataset per field over the dims `sentence` and `trace`.
//
// A trace's sentences are sentence[offset .. offset + sentences). Fields that a trace may lack have a companion
// has_<field> over `trace`; where a trace lacks one, the sentences hold the format's value for "unknown" (boost: NaN).
// The coordinate of `trace` are the ids. Other texts are indices into the coordinate `text`; ranks after every token
// lie over the dim `token`; sampled contents over (sentence, sample, dim), NaN beyond the samples of a sentence. (Texts
// are coordinates because the netCDF library misreads other arrays of fixed-length texts.)
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "results/store/file_io.hpp"
#include "sim/early_exit/trace_file.hpp"

namespace lowbit::rcp {

inline constexpr std::string_view kTraceFileType = "lowbit.traces";

inline constexpr std::size_t kLongestText = 4096;
/// Why a good trace cannot be stored: texts have one length in the file, padded by NUL.
std::optional<early_exit::Problem> storable(const early_exit::Trace& trace);

/// Distinct texts in order of first appearance, from number 1 on; 0 is the empty text. Beyond 64 MiB of them a new text
/// gets a number each time it comes, so that memory stays bounded.
class TextNumbers {
 public:
  /// The number, and whether the text is new.
  std::pair<std::int64_t, bool> of(const std::string& text);
  std::size_t count() const { return next_; }

 private:
  std::unordered_map<std::string, std::int64_t> known_;
  std::size_t bytes_ = 0, next_ = 1;
};

/// What a file of traces needs to be laid out: the first of two readings.
class TraceTotals {
 public:
  /// A trace that is storable().
  void add(const early_exit::Trace& trace);

  std::size_t traces = 0, sentences = 0, tokens = 0;  ///< tokens: those with tok_rank
  std::size_t longest_id = 0, longest_text = 0, samples = 0, dim = 0;
  std::set<std::string> fields;  ///< optional ones that some trace has
  std::size_t texts() const { return texts_.count(); }

 private:
  TextNumbers texts_;
};

/// The second reading: writes the same traces in the same order. Memory does not depend on how many there are.
class TraceWriter {
 public:
  /// `skipped_lines` of the source are noted as an attribute. Error: as store::ColumnWriter.
  TraceWriter(const std::string& path, store::Overwrite overwrite, const TraceTotals& totals,
              std::size_t skipped_lines);
  ~TraceWriter();
  /// Error (bad_data) where the traces are others than those of the totals: the source has changed.
  void add(const early_exit::Trace& trace);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Hands over every trace of the file in order, checked as a line of JSON is; reads a part at a time. Error 65 naming
/// `path`, trace and field.
void read_columns(const std::string& path, const std::function<void(early_exit::Trace&&)>& on_trace);

/// Whether it is a regular file that starts with HDF5's signature: a pipe loses what is looked at. Error 66 if it
/// cannot be read.
bool is_hdf5(const std::string& path);

}  // namespace lowbit::rcp
