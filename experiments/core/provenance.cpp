#include "experiments/core/provenance.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <boost/version.hpp>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/kernels/kernels.hpp"
#include "formats/random.hpp"
#include "lowbit_version.hpp"
#include "results/store/file_io.hpp"
#include "results/store/hdf5_file.hpp"
#include "sim/model/sgemm.hpp"

// weak: a program that does no linear algebra is linked without OpenBLAS
extern "C" {
void openblas_set_num_threads(int) __attribute__((weak));
char* openblas_get_config(void) __attribute__((weak));
char* openblas_get_corename(void) __attribute__((weak));
}

namespace lowbit {
namespace {

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

double clock_seconds(clockid_t id) {
  timespec t{};
  ::clock_gettime(id, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Value of the first line "key<blanks>: value" or key=value of a system file, "" if there is none.
std::string system_value(const char* path, std::string_view key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const std::size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t\"", at + 1);
    const std::size_t end = line.find_last_not_of(" \t\"");
    return begin == std::string::npos ? "" : line.substr(begin, end - begin + 1);
  }
  return "";
}

std::string library_versions() {
  std::string text = fmt::format("HDF5 {}, Boost {}.{}.{}, fmt {}.{}.{}, nlohmann-json {}.{}.{}", store::hdf5_version(),
                                 BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100,
                                 FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100,
                                 NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH);
  text += fmt::format(", Armadillo {}, Highway {}", LOWBIT_ARMADILLO, kernels::highway_version());
  if (openblas_get_config && openblas_get_corename)
    text += fmt::format(", {} (core {})", openblas_get_config(), openblas_get_corename());
  if (const std::string library = model::sgemm_library(); !library.empty()) text += ", " + library;
  return text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    text += word.find_first_of(" \t\n'\"") == std::string::npos && !word.empty() ? word : fmt::format("'{}'", word);
  }
  return text;
}

}  // namespace

const Build& build() {
  static const Build made{LOWBIT_VERSION, LOWBIT_GIT_SHA,        LOWBIT_COMPILER,    LOWBIT_BUILD_TYPE,
                          LOWBIT_FLAGS,   LOWBIT_GIT_DIRTY != 0, library_versions(), std::string(kernels::target())};
  return made;
}

std::string program_fingerprint() {
  const std::vector<std::byte> bytes = store::read_whole("/proc/self/exe");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return fmt::format("{:016x}", stream_of(text));
}

RunClock::RunClock()
    : started_(utc_now()), wall_(clock_seconds(CLOCK_MONOTONIC)), cpu_(clock_seconds(CLOCK_PROCESS_CPUTIME_ID)) {}
double RunClock::wall_seconds() const {
  return clock_seconds(CLOCK_MONOTONIC) - wall_;
}
double RunClock::cpu_seconds() const {
  return clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
}

namespace {

store::Group run_group(const RunClock& clock, int threads, const std::vector<std::string>& command_line) {
  store::Group run{"run", {}, {}, {}};
  utsname system{};
  ::uname(&system);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  run.set("started", clock.started());
  run.set("finished", utc_now());
  run.set("wall_seconds", clock.wall_seconds());
  run.set("cpu_seconds", clock.cpu_seconds());
  run.set("peak_memory_kib", static_cast<std::int64_t>(usage.ru_maxrss));
  run.set("threads", static_cast<std::int64_t>(threads));
  run.set("command_line", joined(command_line));
  run.set("host", std::string(system.nodename));
  run.set("kernel", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  run.set("os", system_value("/etc/os-release", "PRETTY_NAME", '='));
  run.set("cpu", system_value("/proc/cpuinfo", "model name", ':'));
  run.set("program_fingerprint", program_fingerprint());
  for (const char* name : {"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"})
    if (const char* value = std::getenv(name)) run.set(name, std::string(value));
  return run;
}

}  // namespace

store::Group provenance_group(const RunClock& clock, int threads, const std::vector<std::string>& command_line,
                              bool reproducible) {
  const Build& b = build();
  store::Group group{"provenance", {}, {}, {}};
  group.set("program", std::string("lowbit"));
  group.set("version", b.version);
  group.set("git_sha", b.git_sha);
  group.set("git_dirty", std::int64_t{b.git_dirty});
  group.set("compiler", b.compiler);
  group.set("build_type", b.build_type);
  group.set("flags", b.flags);
  group.set("libraries", b.libraries);
  group.set("kernel", b.kernel);
  group.set("rng", std::string("Philox4x32-10 (Random123), streams by FNV-1a 64"));
  if (!reproducible) group.groups.push_back(run_group(clock, threads, command_line));
  return group;
}

void use_one_blas_thread() {
  if (openblas_set_num_threads) openblas_set_num_threads(1);
}

}  // namespace lowbit
