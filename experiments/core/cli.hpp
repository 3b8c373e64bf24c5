// The command line of a paper: build/bin/<paper> [FIGURE...] and `lowbit run <paper>[/<figure>]...`.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/plan.hpp"
#include "experiments/core/runner.hpp"

namespace lowbit {

/// Runs what the arguments (without program name) ask for; returns the exit code, throws Error.
int run_paper(const std::string& program, const std::string& paper, const std::vector<std::string>& arguments);

/// Slugs of the papers in this program, sorted.
std::vector<std::string> paper_slugs();
/// Experiments of a paper; Error naming the known ones if there is none.
std::vector<const Experiment*> experiments_of(const std::string& paper);

/// Settings and run options in an INI file: keys `seed`, `threads`, `out` before the first section, then a section per
/// figure with its axes and parameters; '#' begins a comment at the start of a line alone. Error 66 if it cannot be
/// read, 65 if malformed, 2 for an unknown section or key.
struct Config {
  std::vector<std::pair<std::string, std::string>> run;
  std::vector<std::pair<std::string, Setting>> settings;  ///< figure, setting
};
Config read_config(const std::string& path, const std::vector<const Experiment*>& known);

/// JSON description of an experiment, with the coordinates of its plan: for scripts that plan sweeps.
std::string describe_json(const std::vector<Plan>& plans, const std::string& folder);

/// What --dry-run says as text, JSON (an array of {experiment, points, of, numbers_per_point, file, axes: {name:
/// values}}, with the reason where a figure cannot be run) or CSV: the points of this shard, of all, and where they
/// would go.
std::string dry_run(const std::vector<Plan>& plans, const RunOptions& options, const std::string& form);

/// CPUs that this process may use: SLURM_CPUS_PER_TASK if set and not empty, else the affinity mask.
int default_threads();

}  // namespace lowbit
