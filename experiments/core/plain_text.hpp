// Fields of CSV, JSON and numbers as text: what every output on stdout is made of.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lowbit {

/// One field of CSV (RFC 4180): quoted where it must be.
std::string csv_field(const std::string& text);
/// JSON text, on one line or indented; bytes that are no UTF-8 (of a file name, or of a token that ends inside a
/// character) become U+FFFD.
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);
/// Six significant digits; "" for NaN.
std::string short_number(double v);
/// Every digit that reads back to the same double; "" for NaN.
std::string exact_number(double v);

}  // namespace lowbit
