#include "experiments/core/axes.hpp"

#include "formats/error.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

std::string reals(const std::string& text, Domain domain = {}) {
  return print_list(parse_list(text, Kind::real, domain, "x"));
}
std::string whole(const std::string& text, Domain domain = {}) {
  return print_list(parse_list(text, Kind::integer, domain, "n"));
}

}  // namespace

TEST_CASE("lists and ranges of numbers", "[axes]") {
  CHECK(reals("1,2.5,-3") == "1,2.5,-3");
  CHECK(reals("0:1:0.25") == "0,0.25,0.5,0.75,1");
  CHECK(reals("0:1:0.1") == "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1");  // not 0.30000000000000004
  CHECK(reals("1:0:-0.5") == "1,0.5,0");
  CHECK(reals("1:2:0.3") == "1,1.3,1.6,1.9");
  CHECK(reals("-0") == "0");  // one zero: its sign is no coordinate
  CHECK(whole("2-8+2") == "2,4,6,8");
  CHECK(whole("2-5") == "2,3,4,5");
  CHECK(whole("1-64*2") == "1,2,4,8,16,32,64");
  CHECK(whole("1-100*3") == "1,3,9,27,81");
  CHECK(whole("2,4-6,10:20:5") == "2,4,5,6,10,15,20");
  CHECK(reals("1-3") == "1,2,3");
  CHECK(whole("-1") == "-1");
}

TEST_CASE("values that are not accepted", "[axes]") {
  for (const char* bad : {"", ",", "1,", "1,,2", "nan", "inf", "1,nan", "a", "1:2", "1:2:0", "2:1:1", "1:2:3:4", "1,1",
                          "1,1.0", "0-8*2", "1-", "5-2", "1e400", "0:1:1e-9"})
    CHECK_THROWS_AS(reals(bad), Error);
  for (const char* bad : {"1.5", "0:1:0.5", "1e3", "0x10", "9007199254740994", "2-8+0", "2-8*1"})
    CHECK_THROWS_AS(whole(bad), Error);
  CHECK_THROWS_WITH(whole("0", at_least(1)), "n: '0' is not accepted; an integer of at least 1 is");
  CHECK_THROWS_WITH(reals("3", between(0, 1)), "x: '3' is not accepted; a finite number from 0 to 1 is");
  CHECK_THROWS_AS(whole("1-3", between(0, 2)), Error);  // ranges are checked too
}

TEST_CASE("texts come from their list", "[axes]") {
  const Values v = texts({"none", "hadamard"});
  CHECK(print_list(parse_list("hadamard,none", v.kind, v.domain, "t")) == "hadamard,none");
  CHECK_THROWS_WITH(parse_list("hadamart", v.kind, v.domain, "t"),
                    "t: 'hadamart'; did you mean 'hadamard'? accepted: none, hadamard");
  CHECK_THROWS_AS(parse_list("none,none", v.kind, v.domain, "t"), Error);
}

TEST_CASE("texts are stored in their canonical form", "[axes]") {
  const Domain domain = checked([](const std::string& s) {
    if (s == "bad") throw Error("no");
    return s == "alias" ? "name" : s;
  });
  CHECK(print_list(parse_list("alias,b", Kind::text, domain, "t")) == "name,b");
  CHECK_THROWS_AS(parse_list("alias,name", Kind::text, domain, "t"), Error);  // the same thing twice
  CHECK_THROWS_WITH(parse_list("bad", Kind::text, domain, "t"), "t: no");
}

TEST_CASE("names of formats are checked and brought to one form", "[axes]") {
  const Values v = formats({"mxfp4"});
  CHECK(parse_list("mxint8,nvfp4", v.kind, v.domain, "format").size() == 2);
  CHECK_THROWS_AS(parse_list("mxfp5", v.kind, v.domain, "format"), Error);
  CHECK(v.domain.format_facts("mxfp4").bits_per_value == 4.25);  // 4 bits and an 8-bit scale per 32
}

TEST_CASE("spaced values hit their ends and are tidy", "[axes]") {
  CHECK(print_list(linspace(1, 12, 45).list).substr(0, 18) == "1,1.25,1.5,1.75,2,");
  CHECK(linspace(0, 0.3, 4).list.at(1).real() == 0.1);
  CHECK(logspace(1, 1000, 4).list.at(2).real() == 100);
  CHECK(logspace(2, 32, 5).list.back().real() == 32);
}

TEST_CASE("a printed list reads back to the same values", "[axes]") {
  const auto values = parse_list("0.1:2:0.1,3.3333333333333335,1e-300", Kind::real, {}, "x");
  CHECK(parse_list(print_list(values), Kind::real, {}, "x") == values);
}

TEST_CASE("numbers compare by value, whatever their kind", "[axes]") {
  CHECK(Value(2) == Value(2.0));
  CHECK_FALSE(Value("2") == Value(2));
  CHECK_THROWS_AS(Value(2.5).integer(), std::logic_error);
  CHECK(Value(0.0).seed_text() == Value(-0.0).seed_text());
}
