// JSON from files that are not trusted: what the library lets pass silently is refused here.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lowbit {

/// Parses `text`. Error (bad_data, naming `place`) for a syntax error, invalid UTF-8, a key that occurs twice in one
/// object, or nesting deeper than 32.
nlohmann::json parse_strict_json(std::string_view text, const std::string& place);

/// The value as an unsigned integer: false for negative numbers, fractions, exponents, numbers beyond 2^64 - 1, others.
bool as_unsigned(const nlohmann::json& value, std::uint64_t& out);

}  // namespace lowbit
