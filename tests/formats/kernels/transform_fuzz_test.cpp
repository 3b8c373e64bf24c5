// Transforms and sums of random lengths, offsets and bit patterns: kernel and reference give equal bits.
#include <bit>
#include <vector>

#include "formats/primitives.hpp"
#include "formats/random.hpp"
#include "tests/formats/kernels/twin.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using lowbit::test::first_difference;
using lowbit::test::on_every_target;

namespace {

constexpr std::size_t kOrders[] = {1,  2,  4,  8,  12,  16,  20,  24,  28,  32,  36,  40,  48,   56,
                                   64, 72, 80, 96, 112, 128, 144, 192, 256, 288, 384, 512, 1024, 2304};

/// Any bits at all, or (two draws in three) exponents of some binades, so that not every sum is NaN or infinite.
std::vector<float> draw(std::size_t n, std::uint64_t seed) {
  std::vector<float> x(n);
  const std::uint32_t kind = random_word(seed, 1, 0) % 3;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t word = random_word(seed, 2, i);
    const std::uint32_t exponent = kind == 1 ? 120 + (word >> 23 & 15) : 64 + (word >> 23 & 127);
    x[i] = std::bit_cast<float>(kind == 0 ? word : (word & 0x807fffffu) | exponent << 23);
  }
  return x;
}

/// One trial; the number of values it compared.
std::size_t fuzz(std::uint64_t seed) {
  const auto word = [&](std::uint64_t i) { return random_word(seed, 3, i); };
  const std::size_t n = kOrders[word(0) % std::size(kOrders)], blocks = 1 + word(1) % (8192 / n), offset = word(2) % 17;
  const std::size_t size = n * blocks;
  const auto x = draw(size + offset, seed);
  const float* from = x.data() + offset;
  std::vector<float> signs(n), expected(size), y(size);
  random_signs(signs.data(), n, seed, 0);
  const bool inverse = word(3) & 1, with_signs = word(3) & 2;
  hadamard_ref(from, expected.data(), n, blocks, with_signs ? signs.data() : nullptr, inverse);
  hadamard(from, y.data(), n, blocks, with_signs ? signs.data() : nullptr, inverse);
  INFO(kernels::target() << ", seed " << seed << ", order " << n << " x " << blocks << ", offset " << offset);
  REQUIRE(first_difference(expected.data(), y.data(), size) == size);
  const BlockSums a = block_sums(from, y.data(), size), b = block_sums_ref(from, y.data(), size);
  const double left[] = {a.sum, a.sum2, a.sum3, a.sum4, a.error2, a.amax, a.max_error};
  const double right[] = {b.sum, b.sum2, b.sum3, b.sum4, b.error2, b.amax, b.max_error};
  for (std::size_t i = 0; i < std::size(left); ++i)
    REQUIRE(std::bit_cast<std::uint64_t>(left[i]) == std::bit_cast<std::uint64_t>(right[i]));
  REQUIRE(error_sums(from, y.data(), size).zeroed == error_sums_ref(from, y.data(), size).zeroed);
  return size;
}

void fuzz_values(std::size_t values) {
  on_every_target([&] {
    std::uint64_t seed = 1;
    for (std::size_t done = 0; done < values; ++seed) done += fuzz(seed);
  });
}

}  // namespace

TEST_CASE("Random transforms and sums equal the reference", "[kernels][hadamard][sums]") {
  fuzz_values(1'000'000);
}

TEST_CASE("Random transforms and sums equal the reference on 10^9 values", "[.][exhaustive][fuzz]") {
  fuzz_values(1'000'000'000);
}
