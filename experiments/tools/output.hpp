// What the verbs print on stdout: the same records as aligned text, JSON or CSV.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiments/core/command_line.hpp"

namespace lowbit {

enum class OutputForm { text, json, csv };

/// Named fields in the order in which they are shown. A double that is not finite is null in JSON, empty in CSV, "-" in
/// text.
using Record = nlohmann::ordered_json;

/// Declares --output text|json|csv, the form of stdout.
void declare_output(CommandLine& line);
OutputForm output_form(const CommandLine& line);

/// Declares -o/--out PATH (required) and --force.
void declare_out(CommandLine& line, const std::string& what);

/// Columns from the fields of the first record; numbers with six digits, right-aligned.
std::string text_table(const std::vector<Record>& rows);
/// RFC 4180, with a header line; numbers with all the digits that they need. Lists and objects as JSON text.
std::string csv_table(const std::vector<Record>& rows);
/// One record: "name  value" lines, a JSON object, or two CSV lines.
void print_record(const Record& record, OutputForm form);

}  // namespace lowbit
