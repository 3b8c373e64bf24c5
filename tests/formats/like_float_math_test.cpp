// The float32 log2 that several public implementations take their exponents from, against 113-bit arithmetic.
#include <bit>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <cmath>
#include <limits>

#include "formats/like/float_math.hpp"
#include "tests/support/catch.hpp"

namespace {

using lowbit::like::ceil_log2f;
using lowbit::like::floor_log2f;
using lowbit::like::round_log2f;
using Quad = boost::multiprecision::cpp_bin_float_quad;

/// The correctly rounded float32 logarithm: to 113 bits and then to 24, which differs from rounding once only within
/// 2^-100 of a midpoint.
float log2f_exact(float x) {
  return boost::multiprecision::log2(Quad(x)).convert_to<float>();
}

/// Compares around `center`, `reach` floats to each side.
std::size_t mismatches_around(float center, int reach) {
  std::size_t wrong = 0;
  const auto bits = static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(center));
  for (std::int64_t b = bits - reach; b <= bits + reach; ++b) {
    if (b <= 0 || b >= 0x7F800000) continue;
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(b));
    const float log2 = log2f_exact(x);
    wrong += floor_log2f(x) != std::floor(log2);
    wrong += ceil_log2f(x) != std::ceil(log2);
    wrong += round_log2f(x) != std::nearbyint(log2);
  }
  return wrong;
}

}  // namespace

TEST_CASE("floor, ceil and round of log2f agree with 113 bits around every power of two and its square root multiple",
          "[like][log2]") {
  for (int k = -149; k <= 128; ++k) {
    INFO("2^" << k);
    const float power = k == 128 ? std::numeric_limits<float>::max() : std::ldexp(1.0f, k);
    CHECK(mismatches_around(power, k == 100 || k == -100 ? 140 : 24) == 0);
    if (k < 128) CHECK(mismatches_around(std::ldexp(1.4142135f, k), 70) == 0);
  }
}

TEST_CASE("the counts of floats that float log2 moves over an integer", "[like][log2]") {
  // Largest values below 2^k whose log2f is k: floor((2^(ceil(log2 k) - 1)) ln 2).
  struct Row {
    int k, below;
  };
  for (const Row row : {Row{2, 0}, Row{3, 1}, Row{8, 2}, Row{16, 5}, Row{31, 11}, Row{64, 22}, Row{100, 44},
                        Row{128, 44}, Row{0, 0}, Row{-1, 0}, Row{-3, 1}, Row{-31, 11}, Row{-100, 44}}) {
    INFO("k = " << row.k);
    float x = row.k == 128 ? std::numeric_limits<float>::infinity() : std::ldexp(1.0f, row.k);
    for (int i = 1; i <= row.below; ++i) {
      x = std::nextafter(x, 0.0f);
      CHECK(floor_log2f(x) == static_cast<float>(row.k));
    }
    CHECK(floor_log2f(std::nextafter(x, 0.0f)) == static_cast<float>(row.k - 1));
  }
}

TEST_CASE("log2f of special values", "[like][log2]") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (float (*f)(float) : {floor_log2f, ceil_log2f, round_log2f}) {
    CHECK(f(0.0f) == -inf);
    CHECK(f(-0.0f) == -inf);
    CHECK(f(inf) == inf);
    CHECK(std::isnan(f(nan)));
    CHECK(std::isnan(f(-1.0f)));
    CHECK(f(std::numeric_limits<float>::denorm_min()) == -149.0f);
  }
  CHECK(std::isnan(lowbit::like::power_of_two(nan)));
  CHECK(lowbit::like::power_of_two(-inf) == 0.0f);
  CHECK(lowbit::like::power_of_two(inf) == inf);
  CHECK(lowbit::like::power_of_two(-127) == 0x1p-127f);
}
