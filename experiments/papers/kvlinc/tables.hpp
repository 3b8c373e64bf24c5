// The published and independently computed values of results/reference/kvlinc.<figure>.tsv, built into the program, and
// summaries over heads.
#pragma once
#include <fmt/format.h>

#include <cmath>

#include "experiments/core/reference_table.hpp"
#include "sim/kv/methods/method.hpp"

namespace lowbit::kvlinc {

inline constexpr const char* kPaper = "arXiv:2510.05373";

/// Adds the values of the experiment's figure.
Experiment with_references(Experiment experiment);

/// A parameter as the bands of a figure were made with; or_more: larger values do as well.
struct BandSetting {
  const char* name;
  Value value;
  bool or_more = false;
};
/// Takes the verdict from rows (their numbers stay); the reason goes into their notes.
void leave_unjudged(const std::string& reason, std::vector<Row>& rows);
/// The same for a run with other settings than those.
void keep_band_runs(const Results& results, const std::vector<BandSetting>& settings, std::vector<Row>& rows);
/// The same of figures on drawn heads, for fewer than kBandSeeds of them too.
inline constexpr std::size_t kBandSeeds = 64;
void keep_full_runs(const Results& results, const std::vector<BandSetting>& settings, std::vector<Row>& rows);
/// The same of figures whose bands are those of SmolLM2-135M on 4 windows of 2048 tokens of the novel and more, and of
/// further settings.
void keep_model_runs(const Results& results, std::vector<BandSetting> settings, std::vector<Row>& rows);

/// Values of an output along the axis "tensor", drawn heads alone.
std::vector<double> over_seeds(const Results& results, const std::string& output, Coordinates where);
/// The same for the heads of the file.
std::vector<double> over_file(const Results& results, const std::string& output, Coordinates where);

/// mean(a) / mean(b) over paired heads with its bootstrap interval.
Row ratio_row(const std::string& quantity, const std::vector<double>& a, const std::vector<double>& b, const Rng& rng);
/// The median with its bootstrap interval.
Row median_row(const std::string& quantity, const std::vector<double>& values, const Rng& rng);

/// Mean of a - b over the pairs in which neither is NaN.
struct Difference {
  double mean = NAN, error = NAN;  ///< standard error
  std::size_t n = 0;
  bool resolved() const { return n > 1 && std::abs(mean) > 2 * error; }
};
Difference paired_difference(const std::vector<double>& a, const std::vector<double>& b);
/// An ordering is judged only where its difference is larger than two standard errors: takes the verdict from `row`
/// otherwise, and says which it is in the note.
void judge_if_resolved(const Difference& difference, Row& row);

/// An axis of integers from min to max.
Values bounded(std::vector<std::int64_t> list, double min, double max);

/// Tokens of a channel-wise group of keys where a figure names no other.
inline constexpr std::size_t kKeyGroup = 128;
/// Says once on stderr that so many tokens make no channel-wise group of keys, which stay unquantised therefore.
void warn_of_short(std::size_t tokens);

/// Whether a setting with drawn heads of `width` channels is one of the point's head: a drawn one has all; of a file,
/// heads of 128 channels have those of 128, all others those of 64.
bool setting_applies(const Point& point, std::size_t width);

/// Says once on stderr that token-wise groups are shorter than asked for because they end at the head (or layer).
void warn_of_groups(const kv::MethodOptions& options, const kv::LayerShape& shape);
void warn_of_group(std::size_t group, std::size_t head_dim);
/// The same as a row, so that the file records it; no row where groups are as asked for.
void add_group_row(const kv::MethodOptions& options, const kv::LayerShape& shape, std::vector<Row>& rows);
void add_group_row(std::size_t group, std::size_t head_dim, std::vector<Row>& rows);

}  // namespace lowbit::kvlinc
