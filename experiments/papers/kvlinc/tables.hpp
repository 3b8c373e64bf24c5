// The published and independently computed values of results/reference/kvlinc.<figure>.tsv, built into the program, and
// summaries over heads.
#pragma once
#include <fmt/format.h>

#include "experiments/core/reference_table.hpp"
#include "sim/kv/methods/method.hpp"

namespace lowbit::kvlinc {

inline constexpr const char* kPaper = "arXiv:2510.05373";

/// Adds the values of the experiment's figure.
Experiment with_references(Experiment experiment);

/// Collects rows about drawn heads. Bands are those of kBandSeeds heads of the default size: fewer, or other sizes,
/// leave the band out.
inline constexpr std::size_t kBandSeeds = 64;

/// Values of an output along the axis "tensor", drawn heads alone.
std::vector<double> over_seeds(const Results& results, const std::string& output, Coordinates where);
/// The same for the heads of the file.
std::vector<double> over_file(const Results& results, const std::string& output, Coordinates where);

/// mean(a) / mean(b) over paired heads with its bootstrap interval.
Row ratio_row(const std::string& quantity, const std::vector<double>& a, const std::vector<double>& b, const Rng& rng);
/// The median with its bootstrap interval.
Row median_row(const std::string& quantity, const std::vector<double>& values, const Rng& rng);

/// Rows whose band belongs to kBandSeeds heads lose it (NaN: not run) when fewer were drawn: a quick run is no
/// evidence.
void keep_full_runs(std::vector<Row>& rows, std::size_t seeds);

/// Says once on stderr that token-wise groups are shorter than asked for because they end at the head (or layer).
void warn_of_groups(const kv::MethodOptions& options, const kv::LayerShape& shape);
/// The same as a row, so that the file records it; no row where groups are as asked for.
void add_group_row(const kv::MethodOptions& options, const kv::LayerShape& shape, std::vector<Row>& rows);

}  // namespace lowbit::kvlinc
