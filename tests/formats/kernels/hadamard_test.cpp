// The Hadamard kernel equals its reference bit for bit, on every target that this machine has.
#include <bit>
#include <limits>
#include <vector>

#include "formats/kernels/kernels.hpp"
#include "formats/primitives.hpp"
#include "formats/random.hpp"
#include "tests/formats/kernels/twin.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using lowbit::test::first_difference;
using lowbit::test::on_every_target;

namespace {

/// Values over 40 binades, so that sums round, with zeros of both signs; with specials one in 200 is NaN (of any sign
/// and payload), Inf, FLT_MAX or subnormal.
std::vector<float> draw(std::size_t n, std::uint64_t stream, bool specials) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto w = philox(5, stream, i);
    x[i] = std::bit_cast<float>((w[0] & 0x807fffffu) | ((107 + w[1] % 40) << 23));
    if (w[2] % 50 == 0) x[i] = w[0] % 2 ? 0.0f : -0.0f;
    if (!specials || w[3] % 200 != 0) continue;
    const std::uint32_t list[] = {0x7fc00000u, 0xffc12345u, 0x7f800001u, 0x7f800000u,
                                  0xff800000u, 0x7f7fffffu, 0x80000001u};
    x[i] = std::bit_cast<float>(list[w[3] / 200 % 7]);
  }
  return x;
}

void check(std::size_t n, std::size_t blocks, bool with_signs, bool inverse, std::size_t offset, bool specials) {
  const std::size_t size = n * blocks;
  const auto x = draw(size + offset, n + blocks, specials);
  std::vector<float> signs(n), expected(size), y(size + offset + 16, -7.0f);
  random_signs(signs.data(), n, 3, n);
  const float* s = with_signs ? signs.data() : nullptr;
  hadamard_ref(x.data() + offset, expected.data(), n, blocks, s, inverse);
  REQUIRE(kernels::hadamard(x.data() + offset, y.data() + offset, n, blocks, s, inverse));
  const std::size_t at = first_difference(expected.data(), y.data() + offset, size);
  if (at < size)
    FAIL("had:" << n << " x " << blocks << (inverse ? " inverse" : "") << (with_signs ? " signs" : "") << " on "
                << kernels::target() << ", offset " << offset << ", value " << at << ": reference " << expected[at]
                << ", kernel " << y[at + offset]);
  for (std::size_t i = 0; i < offset; ++i) REQUIRE(y[i] == -7.0f);
  for (std::size_t i = size + offset; i < y.size(); ++i) REQUIRE(y[i] == -7.0f);
  std::vector<float> in_place = x;
  kernels::hadamard(in_place.data() + offset, in_place.data() + offset, n, blocks, s, inverse);
  REQUIRE(first_difference(expected.data(), in_place.data() + offset, size) == size);
}

}  // namespace

TEST_CASE("The transform kernel equals the reference for every order, count of blocks and offset",
          "[kernels][hadamard]") {
  on_every_target([] {
    for (const std::size_t n : {1,  2,   4,   8,   12,  16,  20,  24,  28,  32,  36,  40,  48,  56,  64,   72,   80,
                                96, 112, 128, 144, 160, 192, 224, 256, 288, 320, 384, 512, 576, 640, 1024, 1152, 1280})
      for (const bool inverse : {false, true})
        for (const bool with_signs : {false, true})
          for (std::size_t blocks = 0; blocks <= (n <= 64 ? 35u : 3u); ++blocks)
            check(n, blocks, with_signs, inverse, blocks % 17, blocks % 3 == 1);
  });
}

TEST_CASE("The transform kernel equals the reference beyond the cache buffers", "[kernels][hadamard]") {
  on_every_target([] {
    for (const std::size_t n : {2048, 4096, 8192, 14336, 16384, 36864, 65536})
      for (const bool inverse : {false, true}) check(n, 2, true, inverse, n % 13, inverse);
    for (std::size_t offset = 0; offset < 17; ++offset) check(256, 20, true, false, offset, true);
  });
}

TEST_CASE("Outputs of the transform that are stored past the caches have the same bits", "[kernels][hadamard]") {
  on_every_target([] {
    for (const std::size_t n : {16, 128, 256, 576, 4096}) {
      const std::size_t blocks = (std::size_t{9} << 18) / n;  // 9 MiB
      const auto x = draw(n * blocks, n, true);
      std::vector<float> expected(x.size()), memory(x.size() + 16);
      float* y = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64 / sizeof(float);
      hadamard_ref(x.data(), expected.data(), n, blocks, nullptr, false);
      kernels::hadamard(x.data(), y, n, blocks, nullptr, false);
      REQUIRE(first_difference(expected.data(), y, x.size()) == x.size());
    }
  });
}

TEST_CASE("The caller's flush-to-zero state neither matters to the transform nor changes", "[kernels][hadamard]") {
#if defined(__SSE2__)
  const unsigned before = __builtin_ia32_stmxcsr();
  on_every_target([&] {
    std::vector<float> x(64), y(64), expected(64);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(77777 * i));  // subnormal
    hadamard_ref(x.data(), expected.data(), 32, 2, nullptr, false);
    __builtin_ia32_ldmxcsr(before | 0x8040u);  // FTZ and DAZ
    hadamard(x.data(), y.data(), 32, 2, nullptr, false);
    const unsigned after = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before);
    CHECK((after & 0x8040u) == 0x8040u);
    CHECK(first_difference(expected.data(), y.data(), 64) == 64);
    CHECK(expected[0] != 0);
  });
#endif
}
