// Numbers of the paper (arXiv 2508.17627 v2) and of the generator's calibration run.
#pragma once
#include <span>
#include <string_view>

namespace lowbit::rcp {

/// Means over AIME24, AIME25 and GPQA-Diamond: total tokens and accuracy (v2, main table). 0: not found.
struct PublishedRow {
  std::string_view profile;
  double full_tokens, full_accuracy;
  double no_think_accuracy;
  double budget_tokens, budget_accuracy;
  double deer_tokens, deer_accuracy;
  double rcpd_tokens, rcpd_accuracy, rcpd_compression;
  double top5_accuracy;  ///< ablation "stop when the end token enters the top 5"
};
std::span<const PublishedRow> published();

/// What the trace generator was calibrated to give with 20,000 traces and one seed.
struct CalibrationRow {
  std::string_view profile;
  double full_tokens, full_accuracy, rcpd_tokens, rcpd_accuracy, rcpd_compression;
};
std::span<const CalibrationRow> calibration();

inline constexpr std::string_view kPaper = "arXiv:2508.17627";
inline constexpr std::string_view kMainTable = "arXiv:2508.17627 v2, main table (mean of AIME24, AIME25, GPQA-Diamond)";
inline constexpr std::string_view kCalibration = "calibration run of the trace generator, 20,000 traces";

}  // namespace lowbit::rcp
