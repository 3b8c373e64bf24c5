#include "experiments/core/command_line.hpp"

#include "formats/error.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using Arguments = std::vector<std::string>;

namespace {

CommandLine example() {
  CommandLine line("example", "an example");
  line.value("threads", "N", "number of threads", "4").repeated("set", "A=B", "setting").flag("quick", "small");
  line.value("out", "PATH", "where to").abbreviation('o', "out").words("FIGURE...", "which", 0, 2);
  return line;
}

/// The message of the usage error that `arguments` give, or "" if they are accepted.
std::string refusal(const Arguments& arguments) {
  CommandLine line = example();
  try {
    line.parse(arguments);
    line.integer("threads", 1, 1024);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::usage);
    return e.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("options are read as declared", "[command_line]") {
  CommandLine line = example();
  REQUIRE(line.parse({"--threads", "3", "a", "--set", "x=-1", "--set=y=2", "-o", "dir", "b"}));
  CHECK(line.integer("threads", 1, 8) == 3);
  CHECK(line.list("set") == Arguments{"x=-1", "y=2"});
  CHECK(line.words() == Arguments{"a", "b"});
  CHECK(line.text("out") == "dir");
  CHECK_FALSE(line.given("quick"));
  CHECK_THROWS_AS(line.text("undeclared"), std::logic_error);
}

TEST_CASE("fallbacks hold where an option is not given", "[command_line]") {
  CommandLine line = example();
  REQUIRE(line.parse({}));
  CHECK(line.integer("threads") == 4);
  CHECK_FALSE(line.given("threads"));
}

TEST_CASE("the traps of the option parser are closed", "[command_line]") {
  CHECK(contains(refusal({"--thread", "3"}), "did you mean '--threads'"));  // no guessing of prefixes
  CHECK(contains(refusal({"--threads", "-1"}), "'-1'"));                    // not 4294967295
  CHECK(contains(refusal({"--threads", "1e3"}), "integer from 1 to 1024"));
  CHECK(contains(refusal({"--threads", "0x10"}), "'0x10'"));
  CHECK(contains(refusal({"--threads", "99999999999999999999"}), "not accepted"));
  CHECK(contains(refusal({"--threads", ""}), "not accepted"));
  CHECK(contains(refusal({"--threads", "1", "--threads", "2"}), "given twice"));
  CHECK(contains(refusal({"a", "b", "c"}), "unexpected word 'c'"));
  CHECK(contains(refusal({"--threads"}), "threads"));
  CHECK(contains(refusal({"--quick=1"}), "quick"));
  CHECK(contains(refusal({"-q"}), "-q"));
}

TEST_CASE("numbers are finite decimals", "[command_line]") {
  CHECK(parse_real("-0.25", "x") == -0.25);
  CHECK(parse_real("1e3", "x") == 1000);
  for (const char* bad : {"nan", "inf", "-inf", "NaN", "0x1p3", "1,5", "1.5x", " 1", "", "+", "++1", "1e999"})
    CHECK_THROWS_AS(parse_real(bad, "x"), Error);
  CHECK_THROWS_AS(parse_real("2", "x", 0, 1), Error);
  CHECK(parse_integer("+7", "x") == 7);
  for (const char* bad : {"1.0", "9223372036854775808", "-", "a", ""}) CHECK_THROWS_AS(parse_integer(bad, "x"), Error);
}

TEST_CASE("a missing required option is named", "[command_line]") {
  CommandLine line("tool", "purpose");
  line.value("format", "F", "a format", Required{});
  CHECK_THROWS_WITH(line.parse({}), "tool: --format F is missing (a format)");
  CommandLine words("tool", "purpose");
  words.words("FILE", "a file", 1, 1);
  CHECK_THROWS_WITH(words.parse({}), "tool: FILE is missing (a file)");
}
