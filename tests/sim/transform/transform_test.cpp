#include "sim/transform/transform.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "formats/primitives.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using lowbit::test::refusal_of;

namespace {

std::vector<float> ramp(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>((i * 37 + 11) % 101) - 50.0f;
  return x;
}

}  // namespace

TEST_CASE("transform: names are canonical and parse to themselves", "[transform]") {
  for (const char* name : {"id", "had:1", "had:32", "had:12", "had:576", "rhad:64:seed=0",
                           "rhad:20:seed=18446744073709551615", "orth:48:seed=3", "dct:1", "dct:96"})
    CHECK(parse_transform(name)->name() == name);
  CHECK(parse_transform("rhad:32")->name() == "rhad:32:seed=1");
  CHECK(parse_transform("orth:32")->name() == "orth:32:seed=1");
}

TEST_CASE("transform: unknown names, sizes and options are refused with what is accepted", "[transform]") {
  struct Case {
    const char *name, *says;
  };
  for (const Case c : {Case{"", "unknown"},
                       Case{"dst:8", "unknown"},
                       Case{"dct", "size is missing"},
                       Case{"dct:0", "size 0"},
                       Case{"dct:5000", "1 to 4096"},
                       Case{"dct:8:seed=1", "unexpected"},
                       Case{"orth:0", "size 0"},
                       Case{"orth:8:sed=1", "'sed=1'"},
                       Case{"had", "size is missing"},
                       Case{"had:", "size ''"},
                       Case{"had:-32", "'-32'"},
                       Case{"had:32x", "'32x'"},
                       Case{"had:0", "size 0"},
                       Case{"had:7", "m * 2^k"},
                       Case{"had:32:seed=1", "unexpected"},
                       Case{"rhad:32:seed=nan", "'nan'"},
                       Case{"rhad:32:sed=1", "'sed=1'"},
                       Case{"rhad:32:seed=1:x", "unexpected"},
                       Case{"id:32", "unknown"},
                       Case{"had:2147483648", "2^30"}}) {
    const auto refusal = refusal_of([&] { parse_transform(c.name); });
    CAPTURE(refusal.message);
    CHECK(refusal.names(c.says));
    CHECK(refusal.names("accepted"));
    CHECK(refusal.code == ExitCode::usage);
  }
}

TEST_CASE("transform: a size that does not divide the axis is answered with the sizes that do", "[transform]") {
  const auto refusal = refusal_of([&] {
    const auto x = ramp(48);
    std::vector<float> y(48);
    apply(*parse_transform("had:32"), Layout::matrix(1, 48), x.data(), y.data());
  });
  CHECK(refusal.names("2, 4, 8, 12, 16, 24, 48"));
}

TEST_CASE("transform: had:4 of known values, by hand", "[transform]") {
  const std::vector<float> x = {1, 2, 3, 4, 0, 0, 0, 8};
  std::vector<float> y(8);
  apply(*parse_transform("had:4"), Layout::vector(8), x.data(), y.data());
  CHECK(y == std::vector<float>{5, -1, -2, 0, 4, -4, -4, 4});
}

TEST_CASE("transform: blocks run along the axis that is asked for", "[transform]") {
  const Layout rows({3, 8, 5}, 1);
  const auto x = ramp(rows.size());
  std::vector<float> y(x.size());
  apply(*parse_transform("had:4"), rows, x.data(), y.data());
  for (std::size_t o = 0; o < 3; ++o)
    for (std::size_t k = 0; k < 5; ++k)
      for (std::size_t block = 0; block < 2; ++block) {
        float in[4], out[4];
        for (std::size_t i = 0; i < 4; ++i) in[i] = x[(o * 8 + block * 4 + i) * 5 + k];
        hadamard_ref(in, out, 4, 1, nullptr, false);
        for (std::size_t i = 0; i < 4; ++i) CHECK(y[(o * 8 + block * 4 + i) * 5 + k] == out[i]);
      }
}

TEST_CASE("transform: energy is kept and the inverse undoes it, in place too", "[transform]") {
  for (const char* name : {"id", "had:32", "had:96", "rhad:32:seed=7", "rhad:160:seed=1", "orth:32:seed=5", "orth:60",
                           "dct:32", "dct:480"}) {
    const auto x = ramp(960);
    auto y = x;
    const Layout layout = Layout::matrix(2, 480);
    apply(*parse_transform(name), layout, y.data(), y.data());
    const auto energy = [](const std::vector<float>& v) {
      return std::inner_product(v.begin(), v.end(), v.begin(), 0.0);
    };
    CHECK(energy(y) == Approx(energy(x)).epsilon(1e-6));
    apply_inverse(*parse_transform(name), layout, y.data(), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == Approx(x[i]).margin(1e-4));
  }
}

TEST_CASE("transform: dct:4 of known values, by hand", "[transform]") {
  // a constant has only k = 0: 3 * sqrt(4); cos(pi (2 j + 1) / 4) sqrt(1/2) = +-1/2 is the pattern of k = 2
  const std::vector<float> x = {3, 3, 3, 3, 1, -1, -1, 1};
  std::vector<float> y(8);
  apply(*parse_transform("dct:4"), Layout::vector(8), x.data(), y.data());
  const std::vector<float> expected = {6, 0, 0, 0, 0, 0, 2, 0};
  for (std::size_t i = 0; i < 8; ++i) CHECK(y[i] == Approx(expected[i]).margin(1e-7));
}

TEST_CASE("transform: dct:N is the cosine matrix of its definition", "[transform]") {
  for (const std::size_t n : {std::size_t{3}, std::size_t{24}, std::size_t{48}}) {
    std::vector<float> unit(n * n, 0.0f), y(n * n);
    for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
    apply(*parse_transform("dct:" + std::to_string(n)), Layout::matrix(n, n), unit.data(), y.data());
    const double size = static_cast<double>(n);
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k < n; ++k) {
        const double angle = 3.14159265358979323846 * static_cast<double>((2 * j + 1) * k) / (2 * size);
        CHECK(y[j * n + k] == Approx(std::sqrt((k == 0 ? 1 : 2) / size) * std::cos(angle)).margin(1e-7));
      }
  }
}

TEST_CASE("transform: orth is orthogonal to rounding, and differs by seed and stream", "[transform]") {
  constexpr std::size_t n = 48;
  std::vector<float> unit(n * n, 0.0f);
  for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
  const auto matrix = [&](const char* name, std::uint64_t stream) {
    std::vector<float> y(n * n);
    apply(*parse_transform(name, stream), Layout::matrix(n, n), unit.data(), y.data());
    return y;
  };
  const auto t = matrix("orth:48:seed=1", 0);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      CHECK(std::inner_product(&t[i * n], &t[i * n] + n, &t[j * n], 0.0) == Approx(i == j).margin(1e-6));
  CHECK(t != matrix("orth:48:seed=2", 0));
  CHECK(t != matrix("orth:48:seed=1", 9));
  CHECK(t == matrix("orth:48", 0));
  // Haar: entries have variance 1/n and both signs everywhere, the diagonal too
  double trace = 0;
  for (std::size_t i = 0; i < n; ++i) trace += t[i * n + i];
  CHECK(std::abs(trace) < 4);  // the trace of a Haar matrix is nearly N(0, 1) (Diaconis and Mallows)
}

TEST_CASE("transform: signs depend on seed and stream, and are the same for every block", "[transform]") {
  const Layout layout = Layout::vector(64);
  std::vector<float> x(64, 0.0f);
  for (std::size_t block = 0; block < 2; ++block)
    for (std::size_t i = 0; i < 32; ++i) x[block * 32 + i] = static_cast<float>(i);
  const auto image = [&](const char* name, std::uint64_t stream) {
    std::vector<float> y(64);
    apply(*parse_transform(name, stream), layout, x.data(), y.data());
    return y;
  };
  const auto y = image("rhad:32:seed=1", 0);
  CHECK(std::equal(y.begin(), y.begin() + 32, y.begin() + 32));
  CHECK(y != image("rhad:32:seed=2", 0));
  CHECK(y != image("rhad:32:seed=1", 5));
  CHECK(y != image("had:32", 0));
}

TEST_CASE("transform: an empty tensor stays empty", "[transform]") {
  apply(*parse_transform("had:32"), Layout({0, 32}, -1), nullptr, nullptr);
  constexpr std::size_t kLong = std::size_t{1} << 50;  // an axis beside one of extent 0 may be of any length
  apply(*parse_transform("had:32"), Layout({kLong, 32, 0}, 1), nullptr, nullptr);
}
