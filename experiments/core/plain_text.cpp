#include "experiments/core/plain_text.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace lowbit {

std::string short_number(double v) {
  return std::isnan(v) ? "" : fmt::format("{:.6g}", v);
}
std::string exact_number(double v) {
  return std::isnan(v) ? "" : fmt::format("{}", v);
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string json_text(const nlohmann::ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace lowbit
