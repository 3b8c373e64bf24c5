#include "sim/source/text.hpp"

#include "tests/support/catch.hpp"

using namespace lowbit;

TEST_CASE("text: names from files become one readable line", "[text]") {
  CHECK(in_quotes("") == "''");
  CHECK(in_quotes("a b") == "'a b'");
  CHECK(in_quotes("two\nlines\x1b[31m\x7f") == "'two\\nlines\\x1b[31m\\x7f'");
  CHECK(in_quotes("\xc3\xa9 \xe2\x82\xac") == "'\xc3\xa9 \xe2\x82\xac'");
  CHECK(in_quotes("\xff\xc3") == "'\\xff\\xc3'");
  const std::string shown = in_quotes(std::string(1000, 'a') + "END");
  CHECK(shown.size() < 200);
  CHECK(shown.find("...(1003 bytes)...") != std::string::npos);
  CHECK(shown.substr(shown.size() - 4) == "END'");
}

TEST_CASE("text: unsigned numbers are digits and nothing else", "[text]") {
  unsigned long long value = 7;
  CHECK(parse_unsigned("18446744073709551615", value));
  CHECK(value == 18446744073709551615u);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "0x10", "1e3", "18446744073709551616"})
    CHECK_FALSE(parse_unsigned(bad, value));
  CHECK(value == 18446744073709551615u);
}
