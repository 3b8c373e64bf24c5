// The kernels of sums and maxima equal their references bit for bit, on every target that this machine has.
#include <bit>
#include <limits>
#include <vector>

#include "formats/primitives.hpp"
#include "formats/random.hpp"
#include "tests/formats/kernels/twin.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using lowbit::test::on_every_target;

namespace {

std::size_t first_difference(const double* a, const double* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (std::bit_cast<std::uint64_t>(a[i]) != std::bit_cast<std::uint64_t>(b[i])) return i;
  return n;
}

/// Values over 60 binades and zeros; `specials` 1: NaN, Inf, FLT_MAX, subnormals now and then; 2: Inf of both signs
/// alone.
std::vector<float> draw(std::size_t n, std::uint64_t stream, int specials) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto w = philox(6, stream, i);
    x[i] = std::bit_cast<float>((w[0] & 0x807fffffu) | ((97 + w[1] % 60) << 23));
    if (w[2] % 20 == 0) x[i] = w[0] % 2 ? 0.0f : -0.0f;
    if (specials == 0 || w[3] % 700 != 0) continue;
    const std::uint32_t list[] = {0x7f800000u, 0xff800000u, 0x7f7fffffu, 0x80000001u,
                                  0x7fc00000u, 0xffc12345u, 0x7f800001u};
    x[i] = std::bit_cast<float>(list[w[3] / 700 % (specials == 1 ? 7 : 2)]);
  }
  return x;
}

void require_equal(const BlockSums& a, const BlockSums& b) {
  const double left[] = {a.sum, a.sum2, a.sum3, a.sum4, a.error2}, right[] = {b.sum, b.sum2, b.sum3, b.sum4, b.error2};
  REQUIRE(first_difference(left, right, 5) == 5);
  const float maxima[] = {a.amax, a.max_error}, others[] = {b.amax, b.max_error};
  REQUIRE(test::first_difference(maxima, others, 2) == 2);
  REQUIRE(a.count == b.count);
}

void check(std::size_t n, std::size_t offset, int specials) {
  INFO(kernels::target() << ", n = " << n << ", offset " << offset << ", specials " << specials);
  const auto x = draw(n + offset, n, specials), y = draw(n + offset, n + 1, specials == 2 ? 0 : specials);
  const float *a = x.data() + offset, *b = y.data() + offset;
  require_equal(block_sums(a, b, n), block_sums_ref(a, b, n));
  require_equal(block_sums(a, nullptr, n), block_sums_ref(a, nullptr, n));
  const ErrorSums e = error_sums(a, b, n), f = error_sums_ref(a, b, n);
  const double left[] = {e.sum2, e.error2}, right[] = {f.sum2, f.error2};
  REQUIRE(first_difference(left, right, 2) == 2);
  REQUIRE(test::first_difference(&e.max_error, &f.max_error, 1) == 1);
  REQUIRE((e.zeroed == f.zeroed && e.count == f.count));
  const CentralSums c = central_sums(a, n, 0.37), d = central_sums_ref(a, n, 0.37);
  const double central[] = {c.sum2, c.sum4}, other[] = {d.sum2, d.sum4};
  REQUIRE(first_difference(central, other, 2) == 2);
  const std::vector<float> high{1e-3f, 2e5f, std::numeric_limits<float>::infinity(), 0.5f},
      low{1e5f, 1e-6f, 3.0f, 0.25f};
  const std::size_t group = n / 4 + 1;
  REQUIRE(count_beyond(a, n, group, high.data(), low.data()) == count_beyond_ref(a, n, group, high.data(), low.data()));
  const std::size_t parts = (n + 15) / 16;
  std::vector<float> amax(parts + 1, -1.0f), amax_expected(parts + 1, -1.0f);
  std::vector<double> sum2(parts + 1, -1.0), sum2_expected(parts + 1, -1.0);
  part_maxima(a, n, amax.data(), sum2.data());
  part_maxima_ref(a, n, amax_expected.data(), sum2_expected.data());
  REQUIRE(test::first_difference(amax.data(), amax_expected.data(), parts + 1) == parts + 1);
  REQUIRE(first_difference(sum2.data(), sum2_expected.data(), parts + 1) == parts + 1);
}

}  // namespace

TEST_CASE("Sums of the kernels equal the reference at every length, around chunks and at every offset",
          "[kernels][sums]") {
  on_every_target([] {
    for (std::size_t n = 0; n <= 67; ++n)
      for (const int specials : {0, 1, 2}) check(n, n % 5, specials);
    for (const std::size_t n : {4095, 4096, 4097, 8191, 8192, 8193, 12300})
      for (const int specials : {0, 1, 2}) check(n, n % 3, specials);
    for (std::size_t offset = 0; offset < 17; ++offset) check(1000, offset, 1);
  });
}

TEST_CASE("Sums of pieces of whole chunks add up to the sums of the whole", "[sums]") {
  const auto x = draw(5 * kSumChunk + 77, 9, 0), y = draw(5 * kSumChunk + 77, 10, 0);
  BlockSums total;
  for (const auto& [first, last] : {std::pair<std::size_t, std::size_t>{0, 2}, {2, 3}, {3, 6}}) {
    const std::size_t begin = first * kSumChunk, end = std::min(last * kSumChunk, x.size());
    for (std::size_t chunk = begin; chunk < end; chunk += kSumChunk)
      total.add(block_sums(x.data() + chunk, y.data() + chunk, std::min(kSumChunk, end - chunk)));
  }
  require_equal(total, block_sums_ref(x.data(), y.data(), x.size()));
}

TEST_CASE("The reference of the errors, central sums and parts follows the definitions", "[sums]") {
  const std::vector<float> x{3, -4, 0, 1, 2, 0.5f}, y{3, -3, 0, 0, 2, 0};
  const ErrorSums e = error_sums_ref(x.data(), y.data(), x.size());
  CHECK(e.sum2 == 9 + 16 + 1 + 4 + 0.25);
  CHECK(e.error2 == 1 + 1 + 0.25);
  CHECK(e.max_error == 1.0f);
  CHECK(e.zeroed == 2);
  const CentralSums c = central_sums_ref(x.data(), 5, 1.0);
  CHECK(c.sum2 == 4 + 25 + 1 + 0 + 1);
  CHECK(c.sum4 == 16 + 625 + 1 + 0 + 1);
  const float high[] = {2.5f, 1.5f}, low[] = {4.0f, 1.0f};
  CHECK(count_beyond_ref(x.data(), x.size(), 3, high, low) == 2);  // 3 > 2.5, -4 is not below -4, 2 > 1.5
  std::vector<float> long_row(40, 1.0f);
  long_row[20] = -7;
  long_row[39] = std::numeric_limits<float>::infinity();
  float amax[3];
  double sum2[3];
  part_maxima_ref(long_row.data(), 40, amax, sum2);
  CHECK((amax[0] == 1 && amax[1] == 7 && amax[2] == std::numeric_limits<float>::infinity()));
  CHECK((sum2[0] == 16 && sum2[1] == 15 + 49 && sum2[2] == std::numeric_limits<double>::infinity()));
}

TEST_CASE("The caller's flush-to-zero state does not matter to the sums", "[kernels][sums]") {
#if defined(__SSE2__)
  const unsigned before = __builtin_ia32_stmxcsr();
  std::vector<float> x(64);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(77777 * i));  // subnormal
  const BlockSums expected = block_sums_ref(x.data(), nullptr, x.size());
  CHECK(expected.sum > 0);
  on_every_target([&] {
    __builtin_ia32_ldmxcsr(before | 0x8040u);  // FTZ and DAZ
    const BlockSums sums = block_sums(x.data(), nullptr, x.size());
    const unsigned after = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before);
    CHECK((after & 0x8040u) == 0x8040u);
    require_equal(sums, expected);
  });
#endif
}
