// Reads tests/vectors/elements, which scripts/oracle/elements.py writes from the specifications.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace lowbit::test {

/// Rows of tab-separated fields; comment lines left out.
inline std::vector<std::vector<std::string>> read_tsv(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> fields;
    std::istringstream stream(line);
    for (std::string field; std::getline(stream, field, '\t');) fields.push_back(field);
    rows.push_back(fields);
  }
  return rows;
}

inline std::string element_file(const std::string& name) {
  return std::string(LOWBIT_SOURCE_DIR) + "/tests/vectors/elements/" + name;
}

inline double parse_value(const std::string& text) {
  return std::strtod(text.c_str(), nullptr);
}

/// `count` consecutive codes from `code` with the values value, value + step, ...
struct Progression {
  std::uint32_t code, count;
  double value, step;
  double at(std::uint32_t i) const { return i == 0 ? value : value + i * step; }
};

inline std::vector<Progression> read_values(const std::string& name) {
  std::vector<Progression> runs;
  for (const auto& row : read_tsv(element_file(name + ".tsv"))) {
    const auto code = static_cast<std::uint32_t>(std::stoul(row.at(0)));
    if (row.size() == 2)
      runs.push_back({code, 1, parse_value(row[1]), 0});
    else
      runs.push_back(
          {code, static_cast<std::uint32_t>(std::stoul(row.at(1))), parse_value(row.at(2)), parse_value(row.at(3))});
  }
  return runs;
}

}  // namespace lowbit::test
