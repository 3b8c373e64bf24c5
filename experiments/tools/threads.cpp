#include "experiments/tools/threads.hpp"

#include "experiments/core/cli.hpp"

namespace lowbit {

void declare_threads(CommandLine& line) {
  line.value("threads", "N",
             "threads to use; default: SLURM_CPUS_PER_TASK, or the processors that this process may use");
}

int thread_count(const CommandLine& line) {
  return line.given("threads") ? static_cast<int>(line.integer("threads", 1, 1024)) : default_threads();
}

}  // namespace lowbit
