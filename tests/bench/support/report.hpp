// What the benchmarks print: a table, or JSON for scripts/bench.
#pragma once
#include <string>
#include <vector>

#include "tests/bench/support/measure.hpp"

namespace lowbit::bench {

/// Runs the cases that the command line selects and prints the rows. `settings` makes those of a case from the options.
struct Suite {
  std::string program, purpose;
  std::vector<std::pair<Case, Setting>> (*cases)(const std::string& threads, std::size_t mib, bool quick);
};
int run_suite(const Suite& suite, const std::vector<std::string>& words);

/// Values of a tensor of `mib` MiB.
inline std::size_t values_of(std::size_t mib) {
  return mib << 18;
}

/// The counts that --threads asks for.
std::vector<std::size_t> thread_counts(const std::string& threads);

/// The cached setting: x and y of a thread together take half of its L2.
Setting cached_setting(std::size_t threads);

}  // namespace lowbit::bench
