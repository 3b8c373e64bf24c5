// Published values as tables, and the rows that are compared with them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "experiments/core/experiment.hpp"

namespace lowbit {

/// Reads a table of results/reference: lines of seven columns under the header "quantity unit value low high source
/// note", separated by tabs; lines that begin with # and empty ones are left out. std::logic_error for a malformed
/// line: tables are built into programs.
std::vector<Reference> parse_references(std::string_view table);

/// A row whose number has no sampling error.
Row exact_row(std::string quantity, double ours);
/// A row with its 95 % interval.
Row sampled_row(std::string quantity, double ours, Interval interval);
/// The mean of independent values with its bootstrap interval; NaN (not run) for none.
Row mean_row(std::string quantity, const std::vector<double>& values, const Rng& rng);

}  // namespace lowbit
