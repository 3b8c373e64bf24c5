#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string_view>

#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

/// Keys as "key" or "section.key" with their values, in the order of the file. A '#' begins a comment at the start of a
/// line alone: names of files may hold one.
std::vector<std::pair<std::string, std::string>> read_ini(const std::string& path) {
  struct stat status {};
  std::ifstream file(path);
  if (!file.is_open() || ::stat(path.c_str(), &status) != 0)
    throw_error(ExitCode::no_input, "--config: '{}' cannot be opened", path);
  if (!S_ISREG(status.st_mode)) throw_error(ExitCode::bad_data, "--config: '{}' is no regular file", path);
  std::vector<std::pair<std::string, std::string>> pairs;
  std::set<std::string> seen;
  std::string section;
  std::size_t number = 0;
  for (std::string whole; std::getline(file, whole);) {
    ++number;
    const std::string_view line = trimmed(whole);
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[' && line.back() == ']') {
      section = std::string(trimmed(line.substr(1, line.size() - 2))) + ".";
      continue;
    }
    const std::size_t equal = line.find('=');
    if (equal == line.npos || equal == 0)
      throw_error(ExitCode::bad_data,
                  "--config: '{}' is malformed: line {} is neither 'key = value' nor '[section]' nor a comment (#)",
                  path, number);
    const std::string key = section + std::string(trimmed(line.substr(0, equal)));
    if (!seen.insert(key).second) throw_error(ExitCode::bad_data, "--config: '{}' gives key '{}' twice", path, key);
    pairs.emplace_back(key, trimmed(line.substr(equal + 1)));
  }
  if (file.bad()) throw_error(ExitCode::io, "--config: '{}' cannot be read", path);
  return pairs;
}

}  // namespace

Config read_config(const std::string& path, const std::vector<const Experiment*>& known) {
  const std::vector<std::string> run_keys = {"seed", "threads", "out"};
  Config config;
  for (const auto& [key, value] : read_ini(path)) {
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos) {
      if (std::find(run_keys.begin(), run_keys.end(), key) == run_keys.end())
        throw_error(ExitCode::usage, "--config '{}': unknown key '{}' before the first section{}", path, key,
                    suggestion(key, run_keys));
      config.run.emplace_back(key, value);
      continue;
    }
    const std::string figure = key.substr(0, dot), name = key.substr(dot + 1);
    std::vector<std::string> figures;
    const Declaration* d = nullptr;
    for (const Experiment* e : known) {
      figures.push_back(e->declared().figure_slug());
      if (figures.back() == figure) d = &e->declared();
    }
    if (!d)
      throw_error(ExitCode::usage, "--config '{}': unknown section [{}]{}", path, figure, suggestion(figure, figures));
    const std::vector<std::string> names = setting_names(*d);
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw_error(ExitCode::usage, "--config '{}': [{}] has no axis or parameter '{}'{}", path, figure, name,
                  suggestion(name, names));
    config.settings.emplace_back(figure, Setting{name, value, fmt::format("--config '{}' [{}]", path, figure)});
  }
  return config;
}

int default_threads() {
  const char* slurm = std::getenv("SLURM_CPUS_PER_TASK");
  if (slurm != nullptr && *slurm != '\0') return static_cast<int>(parse_integer(slurm, "SLURM_CPUS_PER_TASK", 1, 1024));
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  return std::max(1, CPU_COUNT(&mask));
}

}  // namespace lowbit
