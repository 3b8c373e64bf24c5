// Recorded traces as an HDF5 file: one dataset per field over the dims `sentence` and `trace`.
//
// A trace's sentences are sentence[offset .. offset + sentences). Fields that a trace may lack have a companion
// has_<field> over `trace`; where a trace lacks one, the sentences hold the format's value for "unknown" (boost: NaN).
// The coordinate of `trace` are the ids. Other texts are indices into the coordinate `text`; ranks after every token
// lie over the dim `token`. (Texts are coordinates because the netCDF library misreads other arrays of fixed-length
// texts.)
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "results/store/tree.hpp"
#include "sim/early_exit/trace_file.hpp"

namespace lowbit::rcp {

inline constexpr std::string_view kTraceFileType = "lowbit.traces";

inline constexpr std::size_t kLongestText = 4096;
/// Why a good trace cannot be stored: texts have one length in the file, padded by NUL.
std::optional<early_exit::Problem> storable(const early_exit::Trace& trace);

/// Puts traces together as the tree of such a file. Memory: the columns, some 60 bytes a sentence.
class TraceColumns {
 public:
  /// A trace that is storable().
  void add(const early_exit::Trace& trace);
  std::size_t traces() const { return traces_; }
  /// The tree, once; std::logic_error without a trace. `skipped_lines` of the source are noted as an attribute.
  store::Group take(std::size_t skipped_lines);

 private:
  template <class T>
  std::vector<T>& column(const std::string& name);
  std::int64_t text(const std::string& text);

  std::size_t traces_ = 0, sentences_ = 0;
  std::map<std::string, store::ArrayData> by_sentence_, by_trace_;
  std::vector<std::uint32_t> token_ranks_;
  std::vector<std::string> ids_, texts_{""};
  std::unordered_map<std::string, std::int64_t> text_ids_{{"", 0}};
};

/// Hands over every trace of the tree in order, checked as a line of JSON is. Error 65 naming `path`, trace and field.
void read_columns(const store::Group& tree, const std::string& path,
                  const std::function<void(early_exit::Trace&&)>& on_trace);

/// Whether the file starts with HDF5's signature. Error 66 if it cannot be read.
bool is_hdf5(const std::string& path);

}  // namespace lowbit::rcp
