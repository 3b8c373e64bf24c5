// Runs plans: one result file each, whole or not at all.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/plan.hpp"
#include "experiments/core/report.hpp"
#include "experiments/core/result_file.hpp"

namespace lowbit {

struct RunOptions {
  std::string folder = "results/runs";
  int threads = 1;
  Shard shard;
  bool resume = false;        ///< go on from what is there; reuse a complete result of the same configuration
  bool force = false;         ///< replace what is there
  bool reproducible = false;  ///< leave out /provenance/run, so that equal runs give equal bytes
  std::vector<std::string> command_line;
};

enum class Outcome { computed, reused, not_run, interrupted };
std::string_view to_string(Outcome outcome);

struct RunResult {
  std::string experiment, path;
  Outcome outcome = Outcome::computed;
  std::size_t points = 0, computed = 0;  ///< of this run or shard; computed now
  double seconds = 0;
  std::vector<Row> rows;  ///< empty for shards
  std::string reason{};   ///< why it was not run, and the command that would change it
};

/// FOLDER/<paper>/<figure>.h5, or <figure>.shard-I-of-N.h5.
std::string result_path(const Declaration& experiment, const RunOptions& options);

/// What stands in the way of the run: throws Error 73 for a result or unfinished points that neither --resume nor
/// --force allows for. To be called for every figure before the first is computed.
void check_target(const Plan& plan, const RunOptions& options);

/// Computes the plan (or the options' shard of it) and writes its file.
RunResult run_plan(const Plan& plan, const RunOptions& options);

/// Rows of complete results, completed and checked.
std::vector<Row> report_rows(const Plan& plan, const Computed& computed);

/// Joins the shards of one run into the file that a run without shards writes. Verifies them first: same experiment,
/// configuration and program revision, every shard there once, every point once. Error 65 naming the file at fault.
/// Returns the path written.
RunResult merge_results(const std::vector<std::string>& files, const std::string& out, bool force, bool reproducible,
                        const std::vector<std::string>& command_line);

}  // namespace lowbit
