// Where a result comes from: build, machine, command, times.
#pragma once
#include <string>
#include <vector>

#include "results/store/tree.hpp"

namespace lowbit {

/// What the program was built from and with.
struct Build {
  std::string version, git_sha, compiler, build_type, flags;
  bool git_dirty = false;
  std::string libraries;  ///< "Armadillo 11.4.2, Boost 1.74, ..." with OpenBLAS's core name
  std::string kernel;     ///< instruction set of the format kernels in use
};
const Build& build();

/// Identity of the running program's file: changes whenever its code does.
std::string program_fingerprint();

/// Wall and CPU clock of a run, started at construction.
class RunClock {
 public:
  RunClock();
  double wall_seconds() const;
  double cpu_seconds() const;
  const std::string& started() const { return started_; }  ///< UTC, ISO 8601

 private:
  std::string started_;
  double wall_, cpu_;
};

/// Group `provenance`: attributes of the build. Its child `run` holds what differs between runs of one configuration
/// (times, host, threads, command line, Slurm ids) and is left out of reproducible files.
store::Group provenance_group(const RunClock& clock, int threads, const std::vector<std::string>& command_line,
                              bool reproducible);

/// Sets the number of threads of OpenBLAS to one, if it is linked: its results depend on it.
void use_one_blas_thread();

}  // namespace lowbit
