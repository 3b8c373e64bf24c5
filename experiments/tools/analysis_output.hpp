// The results of `lowbit analyze` as JSON, CSV, text and HDF5.
#pragma once
#include <string>
#include <vector>

#include "experiments/tools/analysis.hpp"
#include "experiments/tools/output.hpp"

namespace lowbit {

/// JSON: {"rows": [...], "formats": [...], "pairs": [...]}, undefined and infinite numbers null. CSV: the rows. Text:
/// three tables and how often each side of a pair wins.
void print_analysis(const std::vector<TensorAnalysis>& results, OutputForm form);

/// Root datasets over the coordinates tensor, transform, group, quantile, format, pair: see results/tool_files.md.
/// Undefined is NaN.
void write_analysis(const std::string& path, const std::vector<TensorAnalysis>& results, bool force);

}  // namespace lowbit
