#include "sim/source/source.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/error.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

std::vector<float> draw(const char* name, std::size_t rows, std::size_t columns, std::uint64_t seed = 5) {
  Rng rng(seed, "source_test");
  std::vector<float> x(rows * columns);
  Source::parse(name).fill(rng, rows, columns, x.data());
  return x;
}

/// E|X|^k over the sample.
double absolute_moment(const std::vector<float>& x, double k) {
  double sum = 0;
  for (const float v : x) sum += std::pow(std::fabs(v), k);
  return sum / x.size();
}

double mean(const std::vector<float>& x) {
  double sum = 0;
  for (const float v : x) sum += v;
  return sum / x.size();
}

}  // namespace

TEST_CASE("moments of the independent families are those of the textbook", "[source]") {
  // standard errors at n = 2^20: about 1e-3 of the scale for the mean, a few 1e-3 relative for the moments used
  constexpr std::size_t n = 1 << 20;
  struct Case {
    const char* name;
    double first, second, fourth;  // E|X|, E X^2, E X^4; 0 where infinite or too noisy
  };
  const double pi = 3.14159265358979;
  for (const Case& c :
       {Case{"gaussian", std::sqrt(2 / pi), 1, 3}, Case{"laplace", 1, 2, 24}, Case{"uniform", 0.5, 1.0 / 3, 0.2},
        Case{"t:dof=10", std::tgamma(5.5) * std::sqrt(10 / pi) / std::tgamma(5) * 2 / 9, 1.25, 6.25},
        Case{"t:dof=2.5", 0, 0, 0}, Case{"generalised_gaussian:p=2", std::sqrt(1 / pi), 0.5, 0.75},
        Case{"generalised_gaussian:p=4", std::tgamma(0.5) / std::tgamma(0.25), std::tgamma(0.75) / std::tgamma(0.25),
             0.25},
        Case{"generalised_gaussian:p=1", 1, 2, 24}}) {
    CAPTURE(c.name);
    const auto x = draw(c.name, 1, n);
    if (c.first == 0) continue;
    CHECK(std::fabs(mean(x)) < 0.01);
    CHECK(absolute_moment(x, 1) == Approx(c.first).epsilon(0.005));
    CHECK(absolute_moment(x, 2) == Approx(c.second).epsilon(0.01));
    CHECK(absolute_moment(x, 4) == Approx(c.fourth).epsilon(0.06));
  }
}

TEST_CASE("quantiles of Student t with few degrees of freedom", "[source]") {
  // t(3): P(|T| < 2.353363) = 0.9, P(|T| < 5.840909) = 0.99 (tables of the t distribution)
  const auto x = draw("t:dof=3", 1, 1 << 20);
  double inside90 = 0, inside99 = 0;
  for (const float v : x) {
    inside90 += std::fabs(v) < 2.353363;
    inside99 += std::fabs(v) < 5.840909;
  }
  CHECK(inside90 / x.size() == Approx(0.9).margin(0.0015));
  CHECK(inside99 / x.size() == Approx(0.99).margin(0.0005));
}

TEST_CASE("outlier channels sit where they are said to", "[source]") {
  const std::size_t rows = 4096, columns = 200;
  const auto x = draw("outlier_channels:gain=20:every=97", rows, columns);
  for (std::size_t c = 0; c < columns; ++c) {
    double power = 0;
    for (std::size_t r = 0; r < rows; ++r) power += x[r * columns + c] * double(x[r * columns + c]);
    REQUIRE(std::sqrt(power / rows) == Approx(c % 97 == 0 ? 20 : 1).epsilon(0.06));
  }
}

TEST_CASE("the outlier of a row is log-uniform with a random sign", "[source]") {
  const std::size_t rows = 40000, columns = 4;
  const auto x = draw("row_outlier:low=1:high=100", rows, columns);
  double below_ten = 0, positive = 0, rest = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const double v = x[r * columns];
    REQUIRE(std::fabs(v) >= 1);
    REQUIRE(std::fabs(v) <= 100);
    below_ten += std::fabs(v) < 10;
    positive += v > 0;
    rest += x[r * columns + 1] * double(x[r * columns + 1]);
  }
  CHECK(below_ten / rows == Approx(0.5).margin(0.01));
  CHECK(positive / rows == Approx(0.5).margin(0.01));
  CHECK(rest / rows == Approx(1).epsilon(0.03));
}

TEST_CASE("row and octave scales", "[source]") {
  std::vector<float> x(2000 * 3, 1.0f);
  Rng rng(3, "scales");
  spread_octave(rng, 2000, 3, x.data());
  double sum = 0;
  for (std::size_t r = 0; r < 2000; ++r) {
    REQUIRE(x[3 * r] == x[3 * r + 2]);
    REQUIRE(x[3 * r] >= 1);
    REQUIRE(x[3 * r] <= 2);
    sum += std::log2(x[3 * r]);
  }
  CHECK(sum / 2000 == Approx(0.5).margin(0.03));
  std::fill(x.begin(), x.end(), 1.0f);
  scale_rows(rng, 0.5, 2000, 3, x.data());
  double power = 0;
  for (std::size_t r = 0; r < 2000; ++r) power += std::pow(std::log(x[3 * r + 1]), 2);
  CHECK(std::sqrt(power / 2000) == Approx(0.5).margin(0.03));
}

TEST_CASE("names of sources", "[source]") {
  CHECK(Source::parse("t").name() == "t:dof=3");
  CHECK(Source::parse("outlier_channels:every=10").name() == "outlier_channels:gain=20:every=10");
  for (const auto& family : Source::families()) {
    const auto name = Source::parse(family.name).name();
    CHECK(Source::parse(name).name() == name);
  }
  for (const char* bad : {"gauss", "", "t:dof=x", "t:dof=", "t:dof=nan", "t:3", "t:dof=0", "gaussian:p=2",
                          "t:dof=3:dof=4", "t::", "t:", "t:dof=3:"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(Source::parse(bad), Error);
  }
  CHECK_THROWS_WITH(Source::parse("t:dof=-1"), "source 't:dof=-1': dof=-1 is not a number in [0.5, 1e+06]");
}

TEST_CASE("a source is a function of its stream", "[source]") {
  CHECK(draw("t:dof=4", 8, 64) == draw("t:dof=4", 8, 64));
  CHECK(draw("t:dof=4", 8, 64) != draw("t:dof=4", 8, 64, 6));
}
