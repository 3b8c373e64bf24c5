#include "sim/source/text.hpp"

#include <fmt/format.h>

#include <charconv>

namespace lowbit {

namespace {

// Bytes of the UTF-8 character that `text` starts with; 0 where it is none.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0x80   ? 1
                             : byte(0) < 0xc2 ? 0
                             : byte(0) < 0xe0 ? 2
                             : byte(0) < 0xf0 ? 3
                             : byte(0) < 0xf5 ? 4
                                              : 0;
  if (length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return length;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 160;
  std::string result = "'";
  for (std::size_t i = 0; i < text.size();) {
    if (text.size() > kLongest && i >= kLongest / 2 && i < text.size() - kLongest / 2) {
      result += fmt::format("...({} bytes)...", text.size());
      i = text.size() - kLongest / 2;
    }
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t length = character_length(text.substr(i));
    if (c == '\n')
      result += "\\n";
    else if (c < 0x20 || c == 0x7f || length == 0)
      result += fmt::format("\\x{:02x}", c);
    else
      result += text.substr(i, length);
    i += length == 0 ? 1 : length;
  }
  return result + "'";
}

bool parse_unsigned(std::string_view text, unsigned long long& value) {
  unsigned long long parsed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed, 10);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return false;
  value = parsed;
  return true;
}

}  // namespace lowbit
