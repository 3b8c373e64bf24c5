#include "formats/element.hpp"

#include <bit>
#include <cmath>
#include <set>

#include "formats/codec.hpp"
#include "formats/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/element_vectors.hpp"

using namespace lowbit;
using namespace lowbit::test;

TEST_CASE("every element decodes as its specification lays out the bits", "[element]") {
  for (const Element& e : elements()) {
    INFO(e.name);
    std::uint64_t covered = 0;
    std::uint64_t wrong = 0;
    for (const Progression& run : read_values(std::string(e.name))) {
      CHECK(run.code == covered);
      covered += run.count;
      const std::uint32_t stride =
          e.name == "fp32" ? 4099 : 1;  // 2^32 codes: every 4099th, and the first and last of each run
      for (std::uint32_t i = 0; i < run.count;
           i = i + 1 == run.count ? run.count : std::min(i + stride, run.count - 1)) {
        const float got = decode(e, run.code + i);
        const double want = run.at(i);
        const std::uint32_t want_bits =
            std::isnan(want) ? 0x7FC00000u : std::bit_cast<std::uint32_t>(static_cast<float>(want));
        wrong += std::bit_cast<std::uint32_t>(got) != want_bits;
      }
    }
    CHECK(wrong == 0);
    CHECK(covered == std::uint64_t{1} << e.bits);
  }
}

TEST_CASE("derived limits are those of the specifications", "[element]") {
  struct Row {
    const char* name;
    double max;
    std::uint32_t max_code;
    int emax;
    double min_normal, min_subnormal;
    bool nan, infinity, negative_zero;
    std::uint32_t nan_code;
  };
  const auto p = [](int e) { return std::ldexp(1.0, e); };
  // OCP OFP8 table 1, OCP MX v1.0 tables 1 to 7, IEEE 754-2019 table 3.5, LLVM APFloat; NaN codes: codec.hpp
  const Row rows[] = {
      {"e4m3", 448, 0x7E, 8, p(-6), p(-9), true, false, true, 0x7F},
      {"e5m2", 57344, 0x7B, 15, p(-14), p(-16), true, true, true, 0x7E},
      {"e2m3", 7.5, 0x1F, 2, 1, 0.125, false, false, true, 0x1F},
      {"e3m2", 28, 0x1F, 4, 0.25, 0.0625, false, false, true, 0x1F},
      {"e2m1", 6, 0x7, 2, 1, 0.5, false, false, true, 0x7},
      {"e4m3_ieee", 240, 0x77, 7, p(-6), p(-9), true, true, true, 0x7C},
      {"e4m3fnuz", 240, 0x7F, 7, p(-7), p(-10), true, false, false, 0x80},
      {"e4m3b11fnuz", 30, 0x7F, 4, p(-10), p(-13), true, false, false, 0x80},
      {"e5m2fnuz", 57344, 0x7F, 15, p(-15), p(-17), true, false, false, 0x80},
      {"e3m4", 15.5, 0x6F, 3, 0.25, p(-6), true, true, true, 0x78},
      {"fp16", 65504, 0x7BFF, 15, p(-14), p(-24), true, true, true, 0x7E00},
      {"bf16", 3.3895313892515355e38, 0x7F7F, 127, p(-126), p(-133), true, true, true, 0x7FC0},
      {"tf32", 3.4011621342146535e38, 0x3FBFF, 127, p(-126), p(-136), true, true, true, 0x3FE00},
      {"fp32", 3.4028234663852886e38, 0x7F7FFFFF, 127, p(-126), p(-149), true, true, true, 0x7FC00000},
      {"ue4m3", 448, 0x7E, 8, p(-6), p(-9), true, false, false, 0x7F},
      {"ue1m6", 3.9375, 0x7E, 1, 2, p(-5), true, false, false, 0x7F},
      {"ue2m5", 7.75, 0x7E, 2, 1, p(-5), true, false, false, 0x7F},
      {"ue3m4", 30, 0x7E, 4, 0.25, p(-6), true, false, false, 0x7F},
      {"ue5m3", 114688, 0xFE, 16, p(-14), p(-17), true, false, false, 0xFF},
      {"uint8", 254, 0xFE, 7, 128, 1, true, false, false, 0xFF},
      {"e8m0", p(127), 0xFE, 127, p(-127), p(-127), true, false, false, 0xFF},
      {"int2", 1, 1, 0, 1, 1, false, false, false, 0},
      {"int4", 7, 7, 2, 1, 1, false, false, false, 0},
      {"int8", 127, 127, 6, 1, 1, false, false, false, 0},
      {"int8_full", 127, 127, 6, 1, 1, false, false, false, 0},
      {"ternary_codebook", 1, 2, 0, 1, 1, false, false, false, 1},
      {"nf4_codebook", 1, 15, 0, 0.07958029955625534, 0.07958029955625534, false, false, false, 7},
      {"bnb_fp4_codebook", 1, 3, 0, 0.0625f / 12, 0.0625f / 12, false, false, true, 0},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const Element& e = element(row.name);
    CHECK(e.max() == row.max);
    CHECK(e.max_code() == row.max_code);
    CHECK(e.emax() == row.emax);
    CHECK(e.min_normal() == row.min_normal);
    CHECK(e.min_subnormal() == row.min_subnormal);
    CHECK(e.has_nan() == row.nan);
    CHECK(e.has_infinity() == row.infinity);
    CHECK(e.has_negative_zero() == row.negative_zero);
    CHECK(e.nan_code() == row.nan_code);
  }
  CHECK(element("e4m3").min() == -448);
  CHECK(element("ue4m3").min() == 0);
  CHECK(element("e8m0").min() == p(-127));
  CHECK(element("int4").min() == -7);
  CHECK(element("int4_full").min() == -8);
  CHECK(element("nf4").min() == -1);
}

TEST_CASE("finite codes and distinct values are as many as published", "[element]") {
  struct Row {
    const char* name;
    std::uint32_t finite, distinct;
  };
  for (const Row& row :
       {Row{"e4m3", 254, 253}, Row{"e5m2", 248, 247}, Row{"e2m3", 64, 63}, Row{"e3m2", 64, 63}, Row{"e2m1", 16, 15},
        Row{"e4m3_ieee", 240, 239}, Row{"e4m3fnuz", 255, 255}, Row{"e4m3b11fnuz", 255, 255}, Row{"e5m2fnuz", 255, 255},
        Row{"e3m4", 224, 223}, Row{"fp16", 63488, 63487}, Row{"bf16", 65280, 65279}, Row{"tf32", 522240, 522239},
        Row{"e8m0", 255, 255}, Row{"ue4m3", 127, 127}, Row{"ue1m6", 127, 127},
        Row{"ue5m3", 255, 255}, Row{"uint8", 255, 255}, Row{"int8", 256, 256}}) {
    INFO(row.name);
    const Element& e = element(row.name);
    std::uint32_t finite = 0;
    std::set<float> distinct;
    for (std::uint32_t code = 0; code < e.code_count(); ++code) {
      const float value = decode(e, code);
      if (!std::isfinite(value)) continue;
      ++finite;
      distinct.insert(value);
    }
    CHECK(finite == row.finite);
    CHECK(distinct.size() == row.distinct);
  }
}

TEST_CASE("uint8 holds its codes as values", "[element]") {
  const Element& e = element("uint8");
  for (std::uint32_t code = 0; code < 255; ++code) {
    CHECK(decode(e, code) == static_cast<float>(code));
    CHECK(encode(e, static_cast<float>(code) + 0.49f) == code);
  }
  CHECK(encode(e, 2.5f) == 2);  // ties to the even integer
  CHECK(encode(e, 3.5f) == 4);
  CHECK(encode(e, 1e9f) == 254);
  CHECK(encode(e, -3.0f) == 0);
}

TEST_CASE("element names are unique and unknown ones are answered with the known", "[element]") {
  std::set<std::string_view> names;
  for (const Element& e : elements()) {
    CHECK(names.insert(e.name).second);
    if (!e.alias.empty()) CHECK(names.insert(e.alias).second);
    CHECK(&element(e.name) == &e);
    CHECK_FALSE(e.source.empty());
  }
  CHECK(&element("e4m3fn") == &element("e4m3"));
  CHECK(find_element("") == nullptr);
  CHECK(find_element("E4M3") == nullptr);
  CHECK(&full_range(element("int5")) == &element("int5_full"));
  CHECK(&full_range(element("int5_full")) == &element("int5_full"));
  try {
    element("e4m4");
    FAIL("accepted");
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char* part : {"'e4m4'", "did you mean 'e4m3'?", "int8"}) CHECK(message.find(part) != std::string::npos);
    CHECK(error.code() == ExitCode::usage);
  }
}
