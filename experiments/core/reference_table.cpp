#include "experiments/core/reference_table.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <stdexcept>
#include <utility>

#include "experiments/core/bootstrap.hpp"

namespace lowbit {
namespace {

constexpr std::string_view kHeader = "quantity\tunit\tvalue\tlow\thigh\tsource\tnote";

std::vector<std::string> split(std::string_view line, char separator) {
  std::vector<std::string> cells;
  for (std::size_t end; (end = line.find(separator)) != std::string_view::npos; line.remove_prefix(end + 1)) {
    cells.emplace_back(line.substr(0, end));
  }
  cells.emplace_back(line);
  return cells;
}

std::optional<double> number(const std::string& cell) {
  if (cell.empty()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size()) throw std::logic_error("not a number: " + cell);
  return value;
}

/// One line of a table: quantity, unit, value, low, high, source, note.
Reference parse_line(const std::string& line) {
  const auto cells = split(line, '\t');
  if (cells.size() != 7) throw std::logic_error("reference table: seven columns expected: " + line);
  Reference reference;
  reference.quantity = cells[0];
  reference.unit = cells[1];
  reference.value = number(cells[2]);
  const auto low = number(cells[3]), high = number(cells[4]);
  if (low.has_value() != high.has_value()) throw std::logic_error("reference table: half a band: " + line);
  if (low) reference.band = Interval{*low, *high};
  reference.source = cells[5];
  reference.note = cells[6];
  return reference;
}

}  // namespace

std::vector<Reference> parse_references(std::string_view table) {
  std::vector<Reference> all;
  bool header = false;
  for (const auto& line : split(table, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    if (header) {
      all.push_back(parse_line(line));
    } else if (line != kHeader) {
      throw std::logic_error("reference table: unexpected header");
    }
    header = true;
  }
  return all;
}

Row exact_row(std::string quantity, double ours) {
  Row row;
  row.quantity = std::move(quantity);
  row.ours = ours;
  row.exact = true;
  return row;
}

Row sampled_row(std::string quantity, double ours, Interval interval) {
  Row row;
  row.quantity = std::move(quantity);
  row.ours = ours;
  row.interval = interval;
  return row;
}

Row mean_row(std::string quantity, const std::vector<double>& values, const Rng& rng) {
  double mean = values.empty() ? std::numeric_limits<double>::quiet_NaN() : 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  return sampled_row(std::move(quantity), mean, bootstrap_mean(values, rng));
}

}  // namespace lowbit
