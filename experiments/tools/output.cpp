#include "experiments/tools/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "experiments/core/plain_text.hpp"

namespace lowbit {
namespace {

bool is_missing(const Record& value) {
  return value.is_null() || (value.is_number_float() && !std::isfinite(value.get<double>()));
}

std::string text_of(const Record& value) {
  if (is_missing(value)) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return json_text(value);
}

std::string csv_of(const Record& value) {
  if (is_missing(value)) return "";
  return csv_field(value.is_string() ? value.get<std::string>() : json_text(value));
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) line += (i ? "," : "") + cells[i];
  return line + "\n";
}

}  // namespace

void declare_output(CommandLine& line) {
  line.value("output", "FORM", "form of stdout: text, json or csv", "text");
}

OutputForm output_form(const CommandLine& line) {
  const std::string& form = line.choice("output", {"text", "json", "csv"});
  return form == "text" ? OutputForm::text : form == "json" ? OutputForm::json : OutputForm::csv;
}

void declare_out(CommandLine& line, const std::string& what) {
  line.value("out", "PATH", what, Required{}).abbreviation('o', "out");
  line.flag("force", "replace output files that exist");
}

std::string text_table(const std::vector<Record>& rows) {
  if (rows.empty()) return "";
  std::vector<std::vector<std::string>> cells(1);
  std::vector<bool> right;
  for (const auto& [name, value] : rows[0].items()) {
    cells[0].push_back(name);
    right.push_back(true);
  }
  for (const Record& row : rows) {
    auto& line = cells.emplace_back();
    for (const auto& [name, value] : row.items()) {
      if (!value.is_number() && !value.is_null()) right[line.size()] = false;
      line.push_back(text_of(value));
    }
  }
  std::string text;
  for (const auto& line : cells) {
    std::string shown;
    for (std::size_t c = 0; c < line.size(); ++c) {
      std::size_t width = 0;
      for (const auto& other : cells) width = std::max(width, other[c].size());
      shown +=
          (c ? "  " : "") + (right[c] ? fmt::format("{:>{}}", line[c], width) : fmt::format("{:<{}}", line[c], width));
    }
    text += shown.substr(0, shown.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string csv_table(const std::vector<Record>& rows) {
  if (rows.empty()) return "";
  std::vector<std::string> header;
  for (const auto& [name, value] : rows[0].items()) header.push_back(csv_of(Record(name)));
  std::string text = csv_line(header);
  for (const Record& row : rows) {
    std::vector<std::string> cells;
    for (const auto& [name, value] : row.items()) cells.push_back(csv_of(value));
    text += csv_line(cells);
  }
  return text;
}

void print_record(const Record& record, OutputForm form) {
  if (form == OutputForm::json) {
    fmt::print("{}\n", json_text(record, 2));
  } else if (form == OutputForm::csv) {
    fmt::print("{}", csv_table({record}));
  } else {
    for (const auto& [name, value] : record.items()) fmt::print("{:<20}  {}\n", name, text_of(value));
  }
}

}  // namespace lowbit
