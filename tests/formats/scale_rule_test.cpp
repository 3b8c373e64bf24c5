#include "formats/scale_rule.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "tests/support/catch.hpp"
#include "tests/support/element_vectors.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

constexpr ScaleRule kPowersOfTwo[] = {ScaleRule::floor, ScaleRule::ceil,        ScaleRule::ceil_pow2,
                                      ScaleRule::even,  ScaleRule::floor_ratio, ScaleRule::round};

}  // namespace

TEST_CASE("power-of-two scale rules agree with exact logarithms", "[scale_rule]") {
  std::size_t wrong = 0, checked = 0;
  for (const auto& row : read_tsv(std::string(LOWBIT_SOURCE_DIR) + "/tests/vectors/scale_rules.tsv")) {
    const Element& e = element(row.at(0));
    const float amax = std::bit_cast<float>(static_cast<std::uint32_t>(std::stoul(row.at(1), nullptr, 16)));
    for (std::size_t i = 0; i < std::size(kPowersOfTwo); ++i) {
      if (row.at(2 + i) == "-") continue;  // even needs a mantissa
      ++checked;
      if (scale_exponent(kPowersOfTwo[i], e, amax) == std::stoi(row[2 + i])) continue;
      if (++wrong < 5)
        UNSCOPED_INFO(e.name << " " << scale_rule(kPowersOfTwo[i]).name << " " << row[1] << " want " << row[2 + i]);
    }
  }
  CHECK(checked > 10000);
  CHECK(wrong == 0);
}

TEST_CASE("the published table of E2M1 scale exponents", "[scale_rule]") {
  // floor, ceil, ceil_pow2, even, round; torchao FLOOR, RCEIL, CEIL, EVEN and the round option of INT v.s. FP's code
  struct Row {
    float amax;
    int exponent[5];
  };
  const ScaleRule rules[] = {ScaleRule::floor, ScaleRule::ceil, ScaleRule::ceil_pow2, ScaleRule::even,
                             ScaleRule::round};
  for (const Row& row :
       {Row{4.0f, {0, 0, 0, 0, -1}}, Row{4.5f, {0, 0, 1, 0, 0}}, Row{5.0f, {0, 0, 1, 0, 0}}, Row{6.0f, {0, 0, 1, 0, 0}},
        Row{6.0000005f, {0, 1, 1, 0, 0}}, Row{6.5f, {0, 1, 1, 0, 0}}, Row{6.999f, {0, 1, 1, 0, 0}},
        Row{7.0f, {0, 1, 1, 1, 0}}, Row{7.5f, {0, 1, 1, 1, 0}}, Row{8.0f, {1, 1, 1, 1, 0}}}) {
    for (int i = 0; i < 5; ++i) {
      INFO(row.amax << " " << scale_rule(rules[i]).name);
      CHECK(scale_exponent(rules[i], element("e2m1"), row.amax) == row.exponent[i]);
    }
  }
}

TEST_CASE("ceil equals the exponent of an IEEE division, for every mantissa", "[scale_rule]") {
  // cuBLAS and the CUDA packers divide, then take exponent + (mantissa != 0); the bits agree for each maximum below.
  for (const char* name : {"e2m1", "int4", "e2m3", "e3m2", "int6", "int8", "e4m3_ieee", "e4m3", "e5m2"}) {
    const Element& e = element(name);
    const int implicit = implicit_exponent(e);
    std::size_t wrong = 0;
    for (std::uint32_t mantissa = 0; mantissa < 1u << 23; ++mantissa) {
      const float amax = std::bit_cast<float>(127u << 23 | mantissa);
      const auto quotient = std::bit_cast<std::uint32_t>(amax / static_cast<float>(e.max()));
      const int want = static_cast<int>(quotient >> 23) - 127 + ((quotient & 0x7FFFFF) != 0) + implicit;
      wrong += scale_exponent(ScaleRule::ceil, e, amax) != want;
    }
    INFO(name);
    CHECK(wrong == 0);
  }
}

TEST_CASE("range ends: zero, subnormals, the largest float, and values that are no amax", "[scale_rule]") {
  const float max = std::numeric_limits<float>::max();
  for (const ScaleRule rule : kPowersOfTwo) {
    for (const char* name : {"e2m1", "e4m3", "e5m2"}) {
      CHECK(scale_exponent(rule, element(name), 0.0f) == -127);
      CHECK(scale_exponent(rule, element(name), 1e-45f) == -127);
      CHECK(scale_exponent(rule, element(name), INFINITY) == 127);
      CHECK(scale_exponent(rule, element(name), NAN) == 127);
    }
  }
  CHECK(scale_exponent(ScaleRule::floor, element("int8"), max) == 127);
  CHECK(scale_exponent(ScaleRule::ceil, element("int8"), max) == 127);  // 128 is clipped
  CHECK(scale_exponent(ScaleRule::ceil, element("e4m3"), max) == 120);
  CHECK(scale_exponent(ScaleRule::even, element("e2m1"), max) == 126);
  CHECK(scale_exponent(ScaleRule::ceil, element("e4m3"), std::nextafter(0x1.cp-119f, 1.0f)) ==
        -126);  // one ulp above 448 * 2^-127
}

TEST_CASE("integers: the stored exponent is X of OCP", "[scale_rule]") {
  for (int bits = 2; bits <= 8; ++bits) {
    const Element& e = element("int" + std::to_string(bits));
    CHECK(implicit_exponent(e) == bits - 2);
    CHECK(scale_exponent(ScaleRule::floor, e, 1.0f) == 0);  // X = 2^floor(log2 amax) for every width
    CHECK(scale_exponent(ScaleRule::floor, e, 7.0f) == 2);
  }
  CHECK(scale_exponent(ScaleRule::floor, element("int8"), 1.995f) == 0);  // code 0x7F
  CHECK(scale_exponent(ScaleRule::ceil, element("int8"), 1.995f) == 1);   // grid 2^-5, code 0x80
  CHECK(scale_exponent(ScaleRule::ceil, element("int6"), 7.0f) == 2);     // grid 2^-2
  CHECK(scale_exponent(ScaleRule::ceil, element("int4"), 7.0f) == 2);     // grid 2^0
  CHECK(implicit_exponent(element("e2m1")) == 0);
  CHECK(implicit_exponent(element("ternary_codebook")) == 0);
}

TEST_CASE("rules have unique names and a row each", "[scale_rule]") {
  std::set<std::string_view> names;
  for (const ScaleRuleRow& row : scale_rules()) {
    CHECK(names.insert(row.name).second);
    CHECK(find_scale_rule(row.name) == &row);
    CHECK(&scale_rule(row.rule) == &row);
    CHECK_FALSE(row.equation.empty());
    CHECK_FALSE(row.source.empty());
  }
  CHECK(find_scale_rule("rceil")->rule == ScaleRule::ceil);
  CHECK(find_scale_rule("") == nullptr);
}
