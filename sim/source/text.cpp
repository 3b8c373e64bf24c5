#include "sim/source/text.hpp"

#include <fmt/format.h>

#include <charconv>

namespace lowbit {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 160;
  std::string result = "'";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.size() > kLongest && i == kLongest / 2) {
      result += fmt::format("...({} characters)...", text.size());
      i = text.size() - kLongest / 2;
    }
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n')
      result += "\\n";
    else if (c < 0x20 || c == 0x7f)
      result += fmt::format("\\x{:02x}", c);
    else
      result += text[i];
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
