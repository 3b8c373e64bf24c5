// Text that comes from files, made fit for a one-line message.
#pragma once
#include <string>
#include <string_view>

namespace lowbit {

/// `text` in single quotes with control characters escaped and the middle of very long text left out, so that a message
/// that quotes a name out of a file stays one readable line.
std::string in_quotes(std::string_view text);

/// Decimal digits only, no sign, at most 2^64 - 1. False, and `value` unchanged, otherwise.
bool parse_unsigned(std::string_view text, unsigned long long& value);

}  // namespace lowbit
