// The published and independently computed values of results/reference/int_vs_fp.<figure>.tsv, built into the program.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "experiments/core/reference_table.hpp"

namespace lowbit::int_vs_fp {

/// All values of a figure; std::logic_error for a figure without a table or a malformed line.
std::vector<Reference> references(std::string_view figure);

/// Adds references(figure) to the experiment of that figure.
Experiment with_references(Experiment experiment);

/// Identifier of the paper.
inline constexpr const char* kPaper = "arXiv:2510.25602";

}  // namespace lowbit::int_vs_fp
