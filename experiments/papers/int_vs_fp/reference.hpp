// The published and independently computed values of results/reference/int_vs_fp.<figure>.tsv, built into the program.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "experiments/core/experiment.hpp"

namespace lowbit::int_vs_fp {

/// All values of a figure; std::logic_error for a figure without a table or a malformed line.
std::vector<Reference> references(std::string_view figure);

/// Adds references(figure) to the experiment of that figure.
Experiment with_references(Experiment experiment);

/// A row whose number has no sampling error.
Row exact_row(std::string quantity, double ours);
/// A row with its 95 % interval.
Row sampled_row(std::string quantity, double ours, Interval interval);
/// The mean of independent values with its bootstrap interval; NaN (not run) for none.
Row mean_row(std::string quantity, const std::vector<double>& values, const Rng& rng);

/// Identifier of the paper.
inline constexpr const char* kPaper = "arXiv:2510.25602";

}  // namespace lowbit::int_vs_fp
