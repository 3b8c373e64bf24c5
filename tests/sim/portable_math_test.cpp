#include "sim/portable_math.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "sim/rng.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

/// Distance of `value` from the long double `truth` in units of the last place of the double nearest to the truth.
double error_in_ulp(double value, long double truth) {
  const double nearest = std::fabs(static_cast<double>(truth));
  const double ulp = std::nextafter(nearest, std::numeric_limits<double>::infinity()) - nearest;
  return static_cast<double>(std::fabs(value - truth) / ulp);
}

/// A positive double with uniform bits: every exponent is as likely.
double any_positive(Rng& rng) {
  return std::bit_cast<double>(rng.below(0x7ff0000000000000u - 1) + 1);
}

}  // namespace

TEST_CASE("portable_log is within one ulp of the long double logarithm", "[portable_math]") {
  Rng rng(11);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = any_positive(rng), near_one = rng.uniform(0.5, 2.0);
    worst = std::max({worst, error_in_ulp(portable_log(x), std::log(static_cast<long double>(x))),
                      error_in_ulp(portable_log(near_one), std::log(static_cast<long double>(near_one)))});
  }
  CAPTURE(worst);
  CHECK(worst < 1);
  CHECK(portable_log(1) == 0);
  CHECK(portable_log(0) == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(portable_log(-1)));
  CHECK(std::isnan(portable_log(std::nan(""))));
  CHECK(std::isinf(portable_log(std::numeric_limits<double>::infinity())));
}

TEST_CASE("portable_exp is within one ulp of the long double exponential", "[portable_math]") {
  Rng rng(12);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = rng.uniform(-708, 709.7), small = rng.uniform(-1, 1);
    worst = std::max({worst, error_in_ulp(portable_exp(x), std::exp(static_cast<long double>(x))),
                      error_in_ulp(portable_exp(small), std::exp(static_cast<long double>(small)))});
  }
  CAPTURE(worst);
  CHECK(worst < 1);
  CHECK(portable_exp(0) == 1);
  CHECK(std::isinf(portable_exp(710)));
  CHECK(std::isinf(portable_exp(1e300)));
  CHECK(portable_exp(-746) == 0);
  CHECK(portable_exp(-745.1) == 0x1p-1074);
  CHECK(std::isnan(portable_exp(std::nan(""))));
}

TEST_CASE("portable_erf and portable_pow follow the C library", "[portable_math]") {
  Rng rng(13);
  for (int i = 0; i < 20000; ++i) {
    const double x = rng.uniform(-7, 7), base = rng.uniform(1e-6, 10), power = rng.uniform(-3, 3);
    REQUIRE(std::fabs(portable_erf(x) - std::erf(x)) <= 1e-14 * std::fabs(std::erf(x)));
    const double expected = std::pow(base, power);
    REQUIRE(std::fabs(portable_pow(base, power) - expected) <= 2e-14 * expected);
  }
  CHECK(portable_erf(0) == 0);
  CHECK(portable_pow(0, 2.5) == 0);
}

TEST_CASE("decibel is ten times the decimal logarithm", "[portable_math]") {
  CHECK(decibel(1) == 0);
  CHECK(decibel(10) == Approx(10).epsilon(1e-15));
  CHECK(decibel(0.541) == Approx(10 * std::log10(0.541)).epsilon(1e-15));
  CHECK(std::isinf(decibel(0)));
}

TEST_CASE("draws are the same bits on every machine", "[rng]") {
  // Nothing in a draw may come from libm's log, exp, pow, sin or cos: the hash of a stream's first draws is a constant.
  // It was the same for -march=x86-64 and x86-64-v3, with and without the C library allowed to use FMA.
  Rng rng(1, "portable draws");
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto mix = [&](double v) { hash = (hash ^ std::bit_cast<std::uint64_t>(v)) * 0x100000001b3u; };
  for (int i = 0; i < 1000; ++i) {
    mix(rng.normal());
    mix(rng.laplace());
    mix(rng.gamma(0.4));
    mix(rng.student_t(2.5));
  }
  CHECK(hash == 0x342bdaa66b02e401u);
}
