// Contexts that are shorter than one group: everything stays as it is, which is said and recorded.
#pragma once
#include "experiments/papers/kvlinc/heads.hpp"

namespace lowbit::kvlinc {

/// Says once on stderr that `tokens` fill no group of `group` tokens of a channel where that is longer than kKeyGroup
/// (warn_of_short says it of others); nothing where they do.
void warn_of_open(std::size_t tokens, std::size_t group);

/// Heads of fewer tokens than a group, as a row, so that the file records them; no row where there are none. `group`:
/// tokens of the longest channel-wise group of the figure.
void add_open_row(std::size_t tokens, std::size_t group, std::vector<Row>& rows);
/// The same for the shortest head of a figure with with_heads().
void add_open_row(const Results& results, std::size_t group, std::vector<Row>& rows);

}  // namespace lowbit::kvlinc
