// Block primitives: Hadamard matrices in exact integers, the transform against a dense product, sums in their stated
// order.
#include "formats/primitives.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "formats/random.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

std::uint32_t bits(float v) {
  return std::bit_cast<std::uint32_t>(v);
}

/// Entry of H_m (x) H_2^k from the definition: the Sylvester entry is the parity of i & j.
int dense_entry(std::size_t n, std::size_t i, std::size_t j) {
  std::size_t m = 1;
  for (std::size_t candidate : {12, 20, 28, 36})
    if (n % candidate == 0 && std::has_single_bit(n / candidate)) m = candidate;
  const std::size_t inner = n / m;
  const int outer = hadamard_factor(m)[i / inner * m + j / inner];
  return std::popcount(i % inner & j % inner) % 2 ? -outer : outer;
}

/// Small integers, so that every order of summation is exact in float.
std::vector<float> integers(std::size_t n, std::uint64_t stream) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(random_word(7, stream, i) % 201) - 100.0f;
  return x;
}

}  // namespace

TEST_CASE("Hadamard factors are orthogonal in exact integers", "[primitives][hadamard]") {
  for (const std::size_t m : {1, 12, 20, 28, 36}) {
    const auto& h = hadamard_factor(m);
    REQUIRE(h.size() == m * m);
    for (std::size_t a = 0; a < m; ++a)
      for (std::size_t b = 0; b < m; ++b) {
        int dot = 0;
        for (std::size_t k = 0; k < m; ++k) dot += h[a * m + k] * h[b * m + k];
        REQUIRE(dot == (a == b ? static_cast<int>(m) : 0));
        REQUIRE((h[a * m + b] == 1 || h[a * m + b] == -1));
      }
  }
}

TEST_CASE("Paley II factors are symmetric, Paley I factors are I plus a skew matrix", "[primitives][hadamard]") {
  for (const std::size_t m : {28, 36})
    for (std::size_t i = 0; i < m * m; ++i) REQUIRE(hadamard_factor(m)[i] == hadamard_factor(m)[i % m * m + i / m]);
  for (const std::size_t m : {12, 20})
    for (std::size_t i = 0; i < m * m; ++i)
      REQUIRE(hadamard_factor(m)[i] + hadamard_factor(m)[i % m * m + i / m] == (i / m == i % m ? 2 : 0));
}

TEST_CASE("Orders that exist are m 2^k", "[primitives][hadamard]") {
  for (const std::size_t n : {1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 72, 96, 128, 192, 384, 576, 1536})
    CHECK(hadamard_order_exists(n));
  for (const std::size_t n : {0, 3, 5, 6, 7, 9, 10, 14, 18, 44, 52, 60, 88, 100, 108})
    CHECK_FALSE(hadamard_order_exists(n));
}

TEST_CASE("Transform equals the dense product, bit for bit where sums are exact", "[primitives][hadamard]") {
  for (const std::size_t n : {1, 2, 4, 12, 20, 24, 28, 32, 36, 72, 128, 576}) {
    const auto x = integers(2 * n, n);
    std::vector<float> signs(n);
    random_signs(signs.data(), n, 3, 5);
    const float norm = static_cast<float>(1.0 / std::sqrt(static_cast<double>(n)));
    for (const bool inverse : {false, true})
      for (const bool with_signs : {false, true}) {
        std::vector<float> y = x;  // in place
        hadamard_ref(y.data(), y.data(), n, 2, with_signs ? signs.data() : nullptr, inverse);
        for (std::size_t b = 0; b < 2; ++b)
          for (std::size_t j = 0; j < n; ++j) {
            long sum = 0;
            for (std::size_t i = 0; i < n; ++i) {
              const int h = inverse ? dense_entry(n, j, i) : dense_entry(n, i, j);
              const int sign = with_signs && !inverse ? static_cast<int>(signs[i]) : 1;
              sum += h * sign * static_cast<long>(x[b * n + i]);
            }
            float expected = static_cast<float>(sum) * norm;
            if (with_signs && inverse) expected *= signs[j];
            REQUIRE(y[b * n + j] == expected);
          }
      }
  }
}

TEST_CASE("The inverse undoes the transform and energy is kept", "[primitives][hadamard]") {
  for (const std::size_t n : {32, 384, 576, 1536}) {
    std::vector<float> x(n), y(n), z(n), signs(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(static_cast<int>(random_word(1, 2, i))) * 0x1p-31f;
    random_signs(signs.data(), n, 9, 0);
    hadamard_ref(x.data(), y.data(), n, 1, signs.data(), false);
    hadamard_ref(y.data(), z.data(), n, 1, signs.data(), true);
    const auto sums = block_sums_ref(x.data(), z.data(), n);
    CHECK(sums.max_error < 2e-6f);
    CHECK(block_sums_ref(y.data(), nullptr, n).sum2 == Approx(sums.sum2).epsilon(1e-6));
  }
}

TEST_CASE("Signs are the top bits of the words of the stream", "[primitives]") {
  std::vector<float> signs(1000);
  random_signs(signs.data(), signs.size(), 11, 22);
  int negative = 0;
  for (std::size_t i = 0; i < signs.size(); ++i) {
    REQUIRE(signs[i] == ((random_word(11, 22, i) & 0x80000000u) ? -1.0f : 1.0f));
    negative += signs[i] < 0;
  }
  CHECK(std::abs(negative - 500) < 80);  // five standard deviations
}

TEST_CASE("Maxima propagate NaN or skip what is not finite, as stated", "[primitives]") {
  const float x[] = {-3.0f, 2.0f, -0.0f};
  CHECK(amax_ref(x, 3) == 3.0f);
  CHECK(bits(amax_ref(x + 2, 1)) == 0u);
  CHECK(bits(amax_ref(x, 0)) == 0u);
  const float special[] = {1.0f, kNan, kInf, -2.0f};
  CHECK(std::isnan(amax_ref(special, 4)));
  CHECK(amax_ref(special + 2, 2) == kInf);
  CHECK(block_sums_ref(special, nullptr, 4).amax == 2.0f);
}

TEST_CASE("Sums follow the 16 lanes and chunks of 4096", "[primitives]") {
  const std::size_t n = 2 * 4096 + 37;
  std::vector<float> x(n), y(n);
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = std::ldexp(static_cast<float>(static_cast<int>(random_word(4, 1, i))), static_cast<int>(i % 23) - 40);
    y[i] = x[i] * 0.9375f;
  }
  double sum = 0, error2 = 0;
  for (std::size_t start = 0; start < n; start += 4096) {
    double lane[16] = {}, error_lane[16] = {};
    for (std::size_t i = start; i < std::min(n, start + 4096); ++i) {
      lane[(i - start) % 16] += x[i];
      const double e = static_cast<double>(x[i]) - y[i];
      error_lane[(i - start) % 16] += e * e;
    }
    const auto fold = [](const double* l) {
      double a[4];
      for (int i = 0; i < 4; ++i) a[i] = (l[i] + l[i + 8]) + (l[i + 4] + l[i + 12]);
      return (a[0] + a[2]) + (a[1] + a[3]);
    };
    sum += fold(lane);
    error2 += fold(error_lane);
  }
  const auto sums = block_sums_ref(x.data(), y.data(), n);
  CHECK(sums.sum == sum);
  CHECK(sums.error2 == error2);
  CHECK(sums.count == n);
}

TEST_CASE("Moments of small integers are exact", "[primitives]") {
  std::vector<float> x, y;
  for (int i = -50; i <= 50; ++i) {
    x.push_back(static_cast<float>(i));
    y.push_back(static_cast<float>(i + 2));
  }
  const auto s = block_sums_ref(x.data(), y.data(), x.size());
  CHECK(s.sum == 0);
  CHECK(s.sum2 == 2.0 * 50 * 51 * 101 / 6);
  CHECK(s.sum3 == 0);
  CHECK(s.sum4 == 2.0 * 50 * 51 * 101 * (3 * 50 * 50 + 3 * 50 - 1) / 30);
  CHECK(s.error2 == 4.0 * 101);
  CHECK(s.max_error == 2.0f);
  CHECK(s.amax == 50.0f);
  y[3] = kNan;
  CHECK(std::isnan(block_sums_ref(x.data(), y.data(), x.size()).max_error));
}
