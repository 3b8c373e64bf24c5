// Contexts that are shorter than one group: everything stays as it is, which is said and recorded.
#pragma once
#include "experiments/papers/kvlinc/heads.hpp"

namespace lowbit::kvlinc {

/// Says once on stderr that `tokens` are fewer than a group of `group` tokens of a channel, so that no channel-wise
/// group is filled; nothing where they are not.
void warn_of_open(std::size_t tokens, std::size_t group);
/// The same for the keys or values of which a cache has sealed nothing although its rules would.
void warn_of_open(const kv::Storage& layer, const kv::LayerRules& rules);

/// Heads of fewer tokens than a group, as a row, so that the file records them; no row where there are none. `group`:
/// tokens of the longest channel-wise group of the figure.
void add_open_row(std::size_t tokens, std::size_t group, std::vector<Row>& rows);
/// The same for the shortest head of a figure with with_heads().
void add_open_row(const Results& results, std::size_t group, std::vector<Row>& rows);

}  // namespace lowbit::kvlinc
