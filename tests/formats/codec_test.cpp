#include "formats/codec.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "formats/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/element_oracle.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

constexpr Rounding kDeterministic[] = {Rounding::rne, Rounding::rna, Rounding::rtz, Rounding::rtsm};
constexpr const char* kNames[] = {"rne", "rna", "rtz", "rtsm", "sr"};

std::uint32_t bits(float x) {
  return std::bit_cast<std::uint32_t>(x);
}
float from_bits(std::uint32_t b) {
  return std::bit_cast<float>(b);
}

/// Calls body(element, conversion, oracle) for every element (fp32 is its own table) and deterministic conversion.
template <class Body>
void for_each_conversion(Body body) {
  for (const Element& e : elements()) {
    if (e.name == "fp32") continue;
    for (const Overflow overflow : {Overflow::sat, Overflow::ovf}) {
      if (overflow == Overflow::ovf && !e.has_nan()) continue;
      for (const Rounding rounding : kDeterministic) {
        INFO(e.name << " " << kNames[static_cast<int>(rounding)] << (overflow == Overflow::sat ? " sat" : " ovf"));
        body(e, Conversion{rounding, overflow}, ElementOracle(std::string(e.name), rounding, overflow));
      }
    }
  }
}

/// Number of float inputs for which encode and round_to differ from the oracle.
template <class Inputs>
std::size_t mismatches(const Element& e, Conversion conversion, const ElementOracle& oracle, std::size_t count,
                       Inputs input) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto x = input(i);
    const std::uint32_t want = std::isnan(x) ? oracle.nan_code() : oracle(x);
    const std::uint32_t got = encode(e, x, conversion);
    wrong += got != want || bits(round_to(e, x, conversion)) != bits(decode(e, want));
  }
  return wrong;
}

}  // namespace

TEST_CASE("conversions agree with exact rational arithmetic at midpoints and ends", "[codec]") {
  for (const Element& e : elements()) {
    if (e.bits > 8) continue;
    INFO(e.name);
    const std::size_t modes = e.has_nan() ? 8 : 4;
    std::size_t wrong = 0, checked = 0;
    for (const auto& row : read_tsv(element_file(std::string(e.name) + ".convert.tsv"))) {
      const double x = parse_value(row.at(0));
      for (std::size_t mode = 0; mode < modes; ++mode, ++checked) {
        const Conversion conversion{kDeterministic[mode % 4], mode < 4 ? Overflow::sat : Overflow::ovf};
        const std::uint32_t want = static_cast<std::uint32_t>(std::stoul(row.at(1 + mode)));
        wrong += encode(e, x, conversion) != want;
        if (static_cast<double>(static_cast<float>(x)) == x)
          wrong += encode(e, static_cast<float>(x), conversion) != want;
      }
      for (std::size_t draw = 1 + modes; draw < row.size(); ++draw, ++checked) {
        const std::size_t colon = row[draw].find(':');
        const auto word = static_cast<std::uint32_t>(std::stoul(row[draw].substr(0, colon)));
        const auto want = static_cast<std::uint32_t>(std::stoul(row[draw].substr(colon + 1)));
        wrong += encode(e, x, {Rounding::sr, Overflow::sat}, word) != want;
      }
    }
    CHECK(checked > 100);
    CHECK(wrong == 0);
  }
}

TEST_CASE("encode finds the nearest value for all bf16 and fp16 inputs and 2^20 stratified floats", "[codec]") {
  const Element& fp16 = element("fp16");
  for_each_conversion([&](const Element& e, Conversion conversion, const ElementOracle& oracle) {
    CHECK(mismatches(e, conversion, oracle, 1 << 16,
                     [](std::size_t i) { return from_bits(static_cast<std::uint32_t>(i) << 16); }) == 0);
    CHECK(mismatches(e, conversion, oracle, 1 << 16,
                     [&](std::size_t i) { return decode(fp16, static_cast<std::uint32_t>(i)); }) == 0);
    // one float in each of 2^20 strata of consecutive bit patterns: every sign, exponent and top 11 mantissa bits
    CHECK(mismatches(e, conversion, oracle, 1 << 20, [](std::size_t i) {
            return from_bits(static_cast<std::uint32_t>(i << 12 | (i * 2654435761u >> 20 & 0xFFF)));
          }) == 0);
  });
}

TEST_CASE("encode is right at every midpoint, value and threshold and one ulp beside them", "[codec]") {
  for_each_conversion([&](const Element& e, Conversion conversion, const ElementOracle& oracle) {
    std::vector<float> near;
    const auto probe = [&](double exact) {
      const float x = static_cast<float>(exact);
      for (const float y : {std::nextafter(x, -INFINITY), x, std::nextafter(x, INFINITY)}) near.push_back(y);
    };
    const auto& values = oracle.values();
    for (auto low = values.begin(), high = std::next(low); high != values.end(); ++low, ++high) {
      if (values.size() > 70000 && low->second % 37 != 0) continue;
      probe(low->first);
      probe((low->first + high->first) / 2);
    }
    const double max = values.rbegin()->first, step = max - std::next(values.rbegin())->first;
    for (const double sign : {-1.0, 1.0}) {
      for (const double beyond : {0.0, 0.5, 1.0, 2.0}) probe(sign * (max + beyond * step));
      for (const double end : {1e-45, 1.1754942e-38, 1.17549435e-38, 3.4028234663852886e38, 0.0}) probe(sign * end);
    }
    CHECK(mismatches(e, conversion, oracle, near.size(), [&](std::size_t i) { return near[i]; }) == 0);
  });
}

TEST_CASE("a double is rounded once, not through float", "[codec]") {
  for_each_conversion([&](const Element& e, Conversion conversion, const ElementOracle& oracle) {
    // midpoints and values moved by less than half a float ulp: a detour through float lands on the tie
    std::vector<double> inputs;
    const auto& values = oracle.values();
    for (auto low = values.begin(), high = std::next(low); high != values.end(); ++low, ++high) {
      if (values.size() > 70000 && low->second % 37 != 0) continue;
      for (const double x : {low->first, (low->first + high->first) / 2}) {
        for (const double nudge : {-0x1p-30, -0x1p-52, 0x1p-52, 0x1p-30}) inputs.push_back(x * (1 + nudge));
      }
    }
    for (std::uint64_t i = 0; i < 1 << 14; ++i) {  // all exponents of double
      inputs.push_back(std::bit_cast<double>(std::uint64_t{random_word(1, 2, i)} << 32 | random_word(1, 3, i)));
    }
    CHECK(mismatches(e, conversion, oracle, inputs.size(), [&](std::size_t i) { return inputs[i]; }) == 0);
  });
  const Conversion rne{};
  CHECK(encode(element("e4m3"), 1.0625 + 0x1p-40, rne) == 0x39);           // through float: the tie, 0x38
  CHECK(encode(element("fp16"), 1.0 + 0x1p-11 + 0x1p-40, rne) == 0x3C01);  // through float: 0x3C00
  CHECK(encode(element("e4m3"), 0x1p-10 + 0x1p-40, rne) == 0x01);
}

TEST_CASE("fp32 elements round a double as the processor does, and keep a float", "[codec]") {
  const Element& e = element("fp32");
  std::size_t wrong = 0;
  for (std::uint64_t i = 0; i < 1 << 20; ++i) {
    // exponents of 2^-160 .. 2^130, so that subnormals and overflow are common
    const std::uint64_t field = 1023 - 160 + random_word(7, 0, i) % 291;
    const std::uint64_t low = i % 4 == 0 ? 0x10000000u : i % 4 == 1 ? 0x30000000u : random_word(7, 2, i);  // ties, too
    const double x = std::bit_cast<double>(std::uint64_t{i & 1} << 63 | field << 52 |
                                           (std::uint64_t{random_word(7, 1, i)} << 32 | low) >> 12);
    const float nearest = static_cast<float>(x);  // round to nearest even, to Inf beyond the threshold
    wrong += encode(e, x, {Rounding::rne, Overflow::ovf}) != bits(nearest);
    float toward_zero = nearest;
    if (std::fabs(static_cast<double>(nearest)) > std::fabs(x)) toward_zero = std::nextafter(nearest, 0.0f);
    wrong += encode(e, x, {Rounding::rtz, Overflow::ovf}) != bits(toward_zero);
    if (std::isfinite(nearest)) wrong += encode(e, x, {Rounding::rne, Overflow::sat}) != bits(nearest);
    const float kept = from_bits(random_word(7, 3, i));
    wrong += encode(e, kept, {kDeterministic[i % 4], Overflow::ovf}) != (std::isnan(kept) ? 0x7FC00000u : bits(kept));
  }
  CHECK(wrong == 0);
  CHECK(encode(e, INFINITY, {Rounding::rne, Overflow::sat}) == 0x7F7FFFFF);
  CHECK(encode(e, 1e300, {Rounding::rne, Overflow::sat}) == 0x7F7FFFFF);
  CHECK(encode(e, -1e300, {Rounding::rna, Overflow::ovf}) == 0xFF800000);
}

TEST_CASE("published anchors of E4M3, and the defaults where the world disagrees", "[codec]") {
  const Element& e4m3 = element("e4m3");
  const Conversion sat{}, ovf{Rounding::rne, Overflow::ovf};
  CHECK(encode(e4m3, 1.1875, sat) == 0x3A);
  CHECK(encode(e4m3, 17.0, sat) == 0x58);
  CHECK(encode(e4m3, 19.0, sat) == 0x5A);
  CHECK(encode(e4m3, 464.0, ovf) == 0x7E);
  CHECK(encode(e4m3, std::nextafter(464.0, 500.0), ovf) == 0x7F);
  CHECK(encode(e4m3, 480.0, sat) == 0x7E);
  CHECK(encode(element("e5m2"), 61440.0, ovf) == 0x7C);
  CHECK(encode(element("e4m3_ieee"), 248.0, ovf) == 0x78);
  CHECK(encode(element("fp16"), 65520.0, ovf) == 0x7C00);
  for (const Element& e : elements()) {
    INFO(e.name);
    const bool wide = e.name == "fp16" || e.name == "bf16" || e.name == "tf32" || e.name == "fp32";
    CHECK((default_conversion(e).overflow == Overflow::ovf) == wide);
    CHECK(default_conversion(e).rounding == Rounding::rne);
    for (const std::uint32_t nan : {0x7FC00000u, 0xFFC00000u, 0x7F800001u, 0xFFFFFFFFu})
      CHECK(encode(e, from_bits(nan)) == e.nan_code());
    if (e.is_float() || e.kind == ElementKind::exponent) continue;
    CHECK(bits(round_to(e, -0.0f)) == (e.has_negative_zero() ? 0x80000000u : 0u));
  }
  CHECK(round_to(element("e2m1"), std::numeric_limits<float>::quiet_NaN()) == 6.0f);
  CHECK(round_to(element("int8"), std::numeric_limits<float>::quiet_NaN()) == 0.0f);
  CHECK(bits(round_to(element("int8"), -0.25f)) == 0);
  CHECK(bits(round_to(element("e2m1"), -0.25f)) == 0x80000000u);
  CHECK(bits(round_to(element("e4m3fnuz"), -0.0f)) == 0);
  CHECK(encode(element("e8m0"), 1.5f) == 128);  // 1.5 lies between 2^0 (127) and 2^1 (128): the even code
  CHECK(encode(element("e8m0"), 3.0f) == 128);
  CHECK(encode(element("e8m0"), 0.0f) == 0xFF);
  CHECK(encode(element("e8m0"), -1.0f) == 0xFF);
  CHECK(encode(element("tf32"), 1.0f + 0x1p-11f, {Rounding::rna, Overflow::ovf}) == 0x1FC01);  // cvt.rna.tf32
}

TEST_CASE("laws: encode inverts decode, rounding is idempotent, monotone and odd", "[codec]") {
  for (const Element& e : elements()) {
    if (e.bits > 19) continue;
    INFO(e.name);
    const bool odd = e.is_signed && (e.is_float() || (e.is_integer() && e.q_min == -e.q_max));
    std::size_t wrong = 0;
    for (std::uint32_t code = 0; code < e.code_count(); ++code) {
      const float value = decode(e, code);
      if (std::isnan(value) || (e.is_integer() && value < e.q_min)) continue;
      for (const Rounding rounding : kDeterministic) wrong += encode(e, value, {rounding, Overflow::ovf}) != code;
      wrong += encode(e, value, {Rounding::sr, Overflow::ovf}, 0) != code;  // word 0 goes up whenever there is a gap
    }
    float last = -INFINITY;
    for (std::uint32_t i = 0; i < 1 << 16; ++i) {
      const std::uint32_t b = i < 32768 ? 0xFF7F0000u - (i << 16) : (i - 32768) << 16;  // ascending finite bf16
      const float x = from_bits(b), y = round_to(e, x);
      if (!std::isfinite(x) || std::isnan(y)) continue;
      wrong += y < last;
      last = y;
      wrong += bits(round_to(e, y)) != bits(y);
      if (odd && e.has_negative_zero()) wrong += bits(round_to(e, -x)) != bits(-y);
      if (odd) wrong += round_to(e, -x) != -y;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("stochastic rounding goes up iff the word is below the exact fraction", "[codec]") {
  const Element& e2m1 = element("e2m1");
  const Conversion sr{Rounding::sr, Overflow::sat};
  CHECK(encode(e2m1, 4.5f, sr, 0x3FFFFFFF) == 7);  // a quarter of the gap from 4 to 6
  CHECK(encode(e2m1, 4.5f, sr, 0x40000000) == 6);
  CHECK(encode(e2m1, -4.5f, sr, 0x3FFFFFFF) == 0xF);
  CHECK(encode(e2m1, 7.0f, sr, 0) == 7);    // no draw beyond max
  CHECK(encode(e2m1, 1e-30f, sr, 0) == 1);  // the fraction is positive, 0 is below it
  CHECK(encode(e2m1, 1e-30f, sr, 1) == 0);
  CHECK(encode(e2m1, 1e-300, sr, 0) == 1);
  CHECK(encode(element("fp16"), 65519.0f, {Rounding::sr, Overflow::ovf}, 0) == 0x7BFF);
  CHECK(encode(element("fp16"), 65520.0f, {Rounding::sr, Overflow::ovf}, 0xFFFFFFFF) == 0x7C00);
  // the mean of many draws is the value
  const Element& e4m3 = element("e4m3");
  double sum = 0;
  for (std::uint64_t i = 0; i < 1 << 16; ++i) sum += round_to(e4m3, 1.03f, sr, random_word(3, 0, i));
  CHECK(std::fabs(sum / (1 << 16) - 1.03) < 5 * 0.125 * 0.5 / 256);  // five standard errors
}
