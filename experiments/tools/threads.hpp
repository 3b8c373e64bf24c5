// --threads of the verbs.
#pragma once
#include "experiments/core/command_line.hpp"

namespace lowbit {

/// Declares --threads; the default is the number of processors that this process may use (affinity mask), or
/// SLURM_CPUS_PER_TASK. Results never depend on it.
void declare_threads(CommandLine& line);
/// From 1 to 1024; Error (usage) otherwise.
int thread_count(const CommandLine& line);

}  // namespace lowbit
