#include "experiments/papers/rcp/change_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include "experiments/core/command_line.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/trace_file.hpp"
#include "sim/source/input_file.hpp"

namespace lowbit::rcp {

namespace {

using early_exit::RankChange;
using early_exit::RankChangeBin;

constexpr std::pair<std::string_view, std::string_view> kTables[] = {
#include "rcp_reference.inc"
};
constexpr std::size_t kColumns = 7 + early_exit::kChangeQuantiles;
constexpr std::uint64_t kLongestTable = std::uint64_t{16} << 20;
constexpr std::size_t kMostSentences = std::size_t{1} << 53;
constexpr std::string_view kPlain = "fp32", kMark = " kv=";

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t end; (end = text.find(separator)) != std::string_view::npos; text.remove_prefix(end + 1))
    parts.push_back(text.substr(0, end));
  parts.push_back(text);
  return parts;
}

std::string header() {
  std::string line = "kv\tlag1\tsd\tmean\tfrom\tto\tsentences";
  for (std::size_t q = 0; q < early_exit::kChangeQuantiles; ++q)
    line += fmt::format("\tq{}", 100 * q / (early_exit::kChangeQuantiles - 1));
  return line;
}

/// Reads the lines of a table one after the other.
class TableReader {
 public:
  explicit TableReader(std::string place) : place_(std::move(place)) {}

  void add(std::string_view line) {
    ++line_;
    if (line.empty()) return;
    if (line.starts_with("#")) {
      const std::size_t text = line.find_first_not_of("# ");
      if (text != line.npos)
        table_.provenance += (table_.provenance.empty() ? "" : " ") + std::string(line.substr(text));
      return;
    }
    if (!header_) {
      if (line != header()) fail(fmt::format("the header is '{}', expected '{}'", line.substr(0, 60), header()));
      header_ = true;
      return;
    }
    add_bin(split(line, '\t'));
  }
  ChangeTable take() {
    if (table_.changes.empty()) fail("no measurement");
    return std::move(table_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw_error(ExitCode::bad_data, "{}:{}: {}", place_, line_, what);
  }
  double number(std::string_view cell) const {
    double v = 0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), v);
    if (error != std::errc{} || end != cell.data() + cell.size() || !std::isfinite(v))
      fail(fmt::format("'{}' is not a number", cell));
    return v;
  }
  std::size_t count(std::string_view cell) const {
    std::size_t v = 0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), v);
    if (error != std::errc{} || end != cell.data() + cell.size() || v > kMostSentences)
      fail(fmt::format("'{}' is not a number of sentences", cell));
    return v;
  }

  void add_bin(const std::vector<std::string_view>& cells) {
    if (cells.size() != kColumns) fail(fmt::format("{} columns, expected {}", cells.size(), kColumns));
    if (table_.changes.empty() || table_.changes.back().name != cells[0]) start(cells);
    RankChange& change = table_.changes.back();
    if (number(cells[1]) != change.lag1) fail("lag1 differs from that of the line before");
    RankChangeBin bin{number(cells[4]), number(cells[5]), count(cells[6]), {}};
    if (!(bin.from < bin.to)) fail(fmt::format("the bin from {} to {} is empty", bin.from, bin.to));
    if (!change.bins.empty() && change.bins.back().to != bin.from) fail("the bin does not adjoin the one before");
    for (std::size_t c = 7; c < kColumns; ++c) bin.quantiles.push_back(number(cells[c]));
    if (!std::is_sorted(bin.quantiles.begin(), bin.quantiles.end())) fail("the quantiles do not ascend");
    change.bins.push_back(std::move(bin));
  }

  void start(const std::vector<std::string_view>& cells) {
    for (const RankChange& c : table_.changes)
      if (c.name == cells[0]) fail(fmt::format("'{}' comes twice", cells[0]));
    RankChange change;
    change.name = cells[0];
    change.lag1 = number(cells[1]);
    change.sd = number(cells[2]);
    change.mean = number(cells[3]);
    if (change.name.empty()) fail("a line without a name");
    if (!(std::abs(change.lag1) < 1)) fail(fmt::format("lag1 is {}; accepted: between -1 and 1", change.lag1));
    table_.changes.push_back(std::move(change));
  }

  std::string place_;
  std::size_t line_ = 0;
  bool header_ = false;
  ChangeTable table_;
};

/// Ranks of every text and format of a log.
std::map<std::string, std::map<std::string, std::vector<std::int32_t>>> ranks_of(const std::string& path,
                                                                                 std::vector<std::string>& formats) {
  std::map<std::string, std::map<std::string, std::vector<std::int32_t>>> texts;
  early_exit::read_traces(
      path, {},
      [&](early_exit::Trace&& t, std::size_t line) {
        const std::size_t mark = t.id.rfind(kMark);
        if (mark == std::string::npos)
          throw_error(ExitCode::bad_data, "{}:{}: the id '{}' does not end in ' kv=FORMAT', as 'rcp log' writes it",
                      path, line, t.id);
        const std::string format = t.id.substr(mark + kMark.size());
        if (!texts[t.id.substr(0, mark)].emplace(format, std::move(t.rank)).second)
          throw_error(ExitCode::bad_data, "{}:{}: the id '{}' comes twice", path, line, t.id);
        if (std::find(formats.begin(), formats.end(), format) == formats.end()) formats.push_back(format);
      },
      [&](std::size_t line, const early_exit::Problem& problem) {
        throw_error(ExitCode::bad_data, "{}:{}: {}", path, line, problem.text);
      });
  return texts;
}

}  // namespace

const RankChange& ChangeTable::of(const std::string& name) const {
  std::vector<std::string> known;
  for (const RankChange& c : changes) {
    if (c.name == name) return c;
    known.push_back(c.name);
  }
  throw_error(ExitCode::usage, "no measured change of the rank for '{}'{}", name, suggestion(name, known));
}

ChangeTable parse_changes(std::string_view text, const std::string& place) {
  TableReader reader(place);
  for (const std::string_view line : split(text, '\n')) reader.add(line);
  return reader.take();
}

std::string print_changes(const ChangeTable& table) {
  std::string out = fmt::format("# {}\n{}\n", table.provenance, header());
  for (const RankChange& c : table.changes)
    for (const RankChangeBin& b : c.bins) {
      out += fmt::format("{}\t{:.4f}\t{:.4f}\t{:.4f}\t{}\t{}\t{}", c.name, c.lag1, c.sd, c.mean, b.from, b.to, b.count);
      for (const double q : b.quantiles) out += fmt::format("\t{:.4f}", q);
      out += '\n';
    }
  return out;
}

ChangeTable read_changes(const std::string& path) {
  if (!path.empty()) return parse_changes(read_text(path, kLongestTable), path);
  for (const auto& [name, text] : kTables)
    if (name == "kv_change") return parse_changes(text, "results/reference/rcp.kv_change.tsv");
  throw_error(ExitCode::internal, "this program has no measured changes");
}

ChangeTable changes_of_logs(const std::vector<std::string>& paths, std::size_t least) {
  std::vector<std::string> formats;
  std::map<std::string, std::vector<early_exit::RankPair>> pairs;
  for (const std::string& path : paths) {
    for (auto& [text, ranks] : ranks_of(path, formats)) {
      const auto plain = ranks.find(std::string(kPlain));
      if (plain == ranks.end())
        throw_error(ExitCode::bad_data, "'{}': '{}' has no trace kv={} to compare with", path, text, kPlain);
      for (const auto& [format, after] : ranks)
        if (format != kPlain) pairs[format].push_back({plain->second, after});
    }
  }
  ChangeTable table;
  for (const std::string& format : formats)
    if (format != kPlain) table.changes.push_back(early_exit::measure_change(format, pairs[format], least));
  if (table.changes.empty())
    throw_error(ExitCode::bad_data, "'{}' holds traces of kv={} alone; nothing to compare", paths.front(), kPlain);
  return table;
}

}  // namespace lowbit::rcp
