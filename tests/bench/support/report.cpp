#include "tests/bench/support/report.hpp"

#include <fmt/format.h>
#include <fnmatch.h>
#include <sched.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "experiments/core/command_line.hpp"
#include "formats/error.hpp"
#include "formats/kernels/kernels.hpp"

namespace lowbit::bench {
namespace {

using Json = nlohmann::ordered_json;

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

double digits(double value) {
  return std::stod(fmt::format("{:.4g}", value));
}

Json to_json(const Row& row) {
  return {{"case", row.name},
          {"format", row.format},
          {"threads", row.threads},
          {"bytes", row.bytes},
          {"place", row.place},
          {"pages", row.pages},
          {"memory", row.memory},
          {"ge_per_s", digits(row.ge_per_s)},
          {"limit_ge_per_s", digits(row.limit_ge_per_s)},
          {"limit", row.limit_name},
          {"ratio", digits(row.ratio.median)},
          {"ratio_quartiles", {digits(row.ratio.first), digits(row.ratio.third)}},
          {"ratio_memcpy", digits(row.ratio_memcpy)},
          {"limit_ratio_memcpy", digits(row.limit_memcpy)},
          {"pairs", row.pairs},
          {"dropped", row.dropped},
          {"foreign_cores", digits(row.foreign_cores)},
          {"target", row.target > 0 ? Json(row.target) : Json()},
          {"met", row.target > 0 ? Json(row.ratio.median >= row.target) : Json()}};
}

Json to_json(const Tried& t) {
  return {{"pattern", t.pattern},
          {"variant", t.name},
          {"pages", t.pages},
          {"memory", t.memory},
          {"threads", t.threads},
          {"gb_per_s", digits(t.gb_per_s)},
          {"to_memcpy", digits(t.to_memcpy)},
          {"fastest", t.chosen}};
}

Json to_json(const std::vector<Row>& rows, const std::vector<Tried>& tried) {
  Json all = {{"machine",
               {{"cpu", cpu_name()},
                {"l2_bytes", l2_bytes()},
                {"kernel", std::string(kernels::target())},
                {"highway", std::string(kernels::highway_version())}}},
              {"limits", Json::array()},
              {"rows", Json::array()}};
  for (const Tried& t : tried) all["limits"].push_back(to_json(t));
  for (const Row& row : rows) all["rows"].push_back(to_json(row));
  return all;
}

void print_row(std::FILE* file, const Row& r) {
  fmt::print(
      file,
      "{:<22} {:<26} {:>2} {:>8} {:>3} {:>5} {:>8.3f} {:>8.3f} {:>6.3f} [{:.2f} {:.2f}] {:>6.3f} {:>3}-{:<2} {}\n",
      r.name, r.format, r.threads, r.memory, r.place, r.pages, r.ge_per_s, r.limit_ge_per_s, r.ratio.median,
      r.ratio.first, r.ratio.third, r.ratio_memcpy, r.pairs, r.dropped,
      r.target > 0 ? fmt::format("{} {:.2f}", r.ratio.median >= r.target ? "met" : "MISSES", r.target) : "");
  std::fflush(file);
}

void print_head() {
  fmt::print("{:<22} {:<26} {:>2} {:>8} {:>3} {:>5} {:>8} {:>8} {:>6} {:>11} {:>6} {:>6} {}\n", "case", "format", "t",
             "memory", "", "pages", "Ge/s", "limit", "ratio", "quartiles", "/memcpy", "pairs", "target");
}

void print_limits(const std::vector<Tried>& tried) {
  fmt::print("\nlimits: every variant that was tried, GB/s of reads and writes and over memcpy by as many threads\n");
  for (const Tried& t : tried)
    fmt::print("{} {:<9} {:>8} {:>5} {:>2} {:>7.1f} {:>6.2f}  {}\n", t.chosen ? '*' : ' ', t.pattern, t.memory, t.pages,
               t.threads, t.gb_per_s, t.to_memcpy, t.name);
}

}  // namespace

std::vector<std::size_t> thread_counts(const std::string& threads) {
  if (threads != "all") return {static_cast<std::size_t>(std::stoul(threads))};
  cpu_set_t set;
  const int processors = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return processors > 1 ? std::vector<std::size_t>{1, static_cast<std::size_t>(processors)}
                        : std::vector<std::size_t>{1};
}

Setting cached_setting(std::size_t threads) {
  return {threads * (l2_bytes() / 2 / 8 / 4096 * 4096), threads, Pages::huge, true};
}

int run_suite(const Suite& suite, const std::vector<std::string>& words) {
  CommandLine line(suite.program, suite.purpose);
  line.flag("quick", "32 MiB and 5 pairs instead of 256 MiB and 15: shows that it runs, measures little");
  line.value("cases", "GLOB", "only cases whose \"name format memory\" matches", "*");
  line.value("threads", "N", "1, 2, ... or all: 1 and as many as this process may use", "all");
  line.value("pairs", "N", "pairs of limit and case for each row; default: 15, 5 under --quick");
  line.value("output", "FORM", "text or json", "text");
  line.flag("progress", "rows on stderr as they come, beside JSON on stdout");
  if (!line.parse(words)) return 0;
  const bool quick = line.given("quick"), json = line.choice("output", {"text", "json"}) == "json";
  const std::string& threads = line.text("threads");
  if (threads != "all") parse_integer(threads, "--threads", 1, 256);
  Bench bench(line.given("pairs") ? static_cast<std::size_t>(line.integer("pairs", 1, 1000)) : quick ? 5 : 15);
  const std::string glob = line.text("cases");
  std::vector<Row> rows;
  if (!json) print_head();
  for (const auto& [item, setting] : suite.cases(threads, quick ? 32 : 256, quick)) {
    const std::string name = fmt::format("{} {} {}", item.name, item.format, setting.cached ? "L2" : "RAM");
    if (::fnmatch(glob.c_str(), name.c_str(), 0) != 0) continue;
    rows.push_back(bench.run(item, setting));
    if (!json) print_row(stdout, rows.back());
    if (json && line.given("progress")) print_row(stderr, rows.back());
  }
  if (rows.empty()) throw_error(ExitCode::usage, "--cases: no case matches '{}'", glob);
  if (json)
    fmt::print("{}\n", to_json(rows, bench.tried()).dump(1));
  else
    print_limits(bench.tried());
  return 0;
}

}  // namespace lowbit::bench
