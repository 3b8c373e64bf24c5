// Measured changes of the end token's rank as a table of text, and how they come out of a log.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "sim/early_exit/rank_change.hpp"

namespace lowbit::rcp {

/// A table: lines beginning with '#' tell where it comes from, then one tab-separated line for each format and bin.
struct ChangeTable {
  std::string provenance;  ///< the '#' lines as one line of text
  std::vector<early_exit::RankChange> changes;

  const early_exit::RankChange& of(const std::string& name) const;  ///< Error (usage) listing the known ones
};

/// Error (bad_data) naming `place`, line and what is wrong.
ChangeTable parse_changes(std::string_view text, const std::string& place);
std::string print_changes(const ChangeTable& table);

/// What was measured on SmolLM2-135M-Instruct (results/reference/rcp.kv_change.tsv), or the table in a file.
ChangeTable read_changes(const std::string& path_or_empty);

/// Pairs the traces of logs of `rcp log`: "TEXT kv=fp32" with "TEXT kv=FORMAT" of the same log. Error (bad_data): a bad
/// line, a format without its fp32, sentences that differ.
ChangeTable changes_of_logs(const std::vector<std::string>& paths, std::size_t least);

}  // namespace lowbit::rcp
