#include "experiments/core/report_print.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiments/core/progress.hpp"

namespace lowbit {
namespace {

using Json = nlohmann::ordered_json;

Json number(double v) {
  return std::isfinite(v) ? Json(v) : Json(nullptr);
}
Json number(const std::optional<double>& v) {
  return v ? number(*v) : Json(nullptr);
}
Json interval(const std::optional<Interval>& i) {
  return i ? Json::array({number(i->low), number(i->high)}) : Json(nullptr);
}

std::string paper_of(const RunResult& result) {
  return result.experiment.substr(0, result.experiment.find('/'));
}

Json row_json(const std::string& paper, const Row& row) {
  Json json;
  json["paper"] = paper;
  json["figure"] = row.figure;
  json["quantity"] = row.quantity;
  json["ours"] = number(row.ours);
  json["unit"] = row.unit;
  json["interval"] = interval(row.interval);
  json["exact"] = row.exact;
  json["reference"] = number(row.reference);
  json["reference_source"] = row.source;
  json["band"] = interval(row.band);
  json["verdict"] = std::string(to_string(verdict_of(row)));
  json["note"] = row.note;
  return json;
}

std::string interval_text(const std::optional<Interval>& i) {
  return i ? fmt::format("[{}, {}]", short_number(i->low), short_number(i->high)) : "";
}

/// Columns padded to their widest cell.
std::string aligned(const std::vector<std::vector<std::string>>& cells) {
  std::vector<std::size_t> width;
  for (const auto& row : cells) {
    width.resize(std::max(width.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  }
  std::string text;
  for (const auto& row : cells) {
    std::string line = " ";
    for (std::size_t c = 0; c < row.size(); ++c) line += fmt::format(" {:<{}} ", row[c], width[c]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string rows_table(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> cells = {{"quantity", "ours", "95 %", "reference", "band", "verdict", "note"}};
  for (const Row& row : rows)
    cells.push_back({row.quantity, short_number(row.ours), row.exact ? "exact" : interval_text(row.interval),
                     row.reference ? short_number(*row.reference) : "", interval_text(row.band),
                     std::string(to_string(verdict_of(row))), row.note});
  return aligned(cells);
}

std::string text_report(const RunResult& result) {
  std::string head = fmt::format("{}: {}", result.experiment, result.path);
  if (result.outcome == Outcome::computed)
    head += fmt::format(" ({} points, {} computed, {})", result.points, result.computed, duration_text(result.seconds));
  else
    head += fmt::format(" ({})", to_string(result.outcome));
  if (!result.reason.empty()) head += "\n  " + result.reason;
  return head + "\n" + (result.rows.empty() ? "" : rows_table(result.rows));
}

std::string json_report(const std::vector<RunResult>& results) {
  Json report;
  report["schema"] = 1;
  report["results"] = Json::array();
  report["rows"] = Json::array();
  for (const RunResult& result : results) {
    Json entry;
    entry["experiment"] = result.experiment;
    entry["file"] = result.path;
    entry["outcome"] = std::string(to_string(result.outcome));
    entry["points"] = result.points;
    entry["computed"] = result.computed;
    entry["seconds"] = result.seconds;
    if (!result.reason.empty()) entry["reason"] = result.reason;
    report["results"].push_back(entry);
    for (const Row& row : result.rows) report["rows"].push_back(row_json(paper_of(result), row));
  }
  return json_text(report, 2) + "\n";
}

std::string csv_report(const std::vector<RunResult>& results) {
  std::string text =
      "paper,figure,quantity,ours,unit,interval_low,interval_high,exact,reference,reference_source,band_low,band_high,"
      "verdict,note\n";
  for (const RunResult& result : results)
    for (const Row& row : result.rows) {
      const auto bound = [](const std::optional<Interval>& i, double Interval::*end) {
        return i ? exact_number((*i).*end) : std::string();
      };
      text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", paper_of(result), csv_field(row.figure),
                          csv_field(row.quantity), exact_number(row.ours), csv_field(row.unit),
                          bound(row.interval, &Interval::low), bound(row.interval, &Interval::high), row.exact ? 1 : 0,
                          row.reference ? exact_number(*row.reference) : "", csv_field(row.source),
                          bound(row.band, &Interval::low), bound(row.band, &Interval::high), to_string(verdict_of(row)),
                          csv_field(row.note));
    }
  return text;
}

}  // namespace lowbit
