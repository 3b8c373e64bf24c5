#include "experiments/tools/threads.hpp"

#include <sched.h>

#include <cstdlib>

namespace lowbit {
namespace {

constexpr int kMost = 1024;

int processors() {
  cpu_set_t mask;
  return ::sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
}

}  // namespace

void declare_threads(CommandLine& line) {
  line.value("threads", "N",
             "threads to use; default: SLURM_CPUS_PER_TASK, or the processors that this process may use");
}

int thread_count(const CommandLine& line) {
  if (line.given("threads")) return static_cast<int>(line.integer("threads", 1, kMost));
  const char* slurm = std::getenv("SLURM_CPUS_PER_TASK");
  if (slurm && *slurm) return static_cast<int>(parse_integer(slurm, "SLURM_CPUS_PER_TASK", 1, kMost));
  return processors();
}

}  // namespace lowbit
