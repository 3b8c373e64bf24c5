// Results on stdout: tables for people, JSON and CSV for programs.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/plain_text.hpp"
#include "experiments/core/runner.hpp"

namespace lowbit {

/// The rows as an aligned table with a header line.
std::string rows_table(const std::vector<Row>& rows);
/// Report rows of one figure as an aligned table, and where its file is.
std::string text_report(const RunResult& result);
/// {"schema": 1, "results": [{experiment, file, outcome, points, computed, seconds}], "rows": [...]}: rows as in
/// report.json of `scripts/reproduce`.
std::string json_report(const std::vector<RunResult>& results);
/// The rows as CSV with a header line; empty fields for what is absent.
std::string csv_report(const std::vector<RunResult>& results);

}  // namespace lowbit
