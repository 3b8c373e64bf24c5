// Transform and quantiser in one pass equal the steps one after the other, bit for bit, on every target of this
// machine.
#include "formats/rotate.hpp"

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

std::vector<float> draw(std::size_t n, std::uint64_t stream, bool specials) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto w = philox(7, stream, i);
    x[i] = static_cast<float>(static_cast<std::int32_t>(w[0])) * std::ldexp(1.0f, static_cast<int>(w[1] % 12) - 40);
    if (i / 4096 % 3 == 1 && i / 32 % 5 == 0) x[i] = 0;  // some blocks of zeros
    if (specials && w[3] % 3000 == 0)
      x[i] = w[3] % 2 ? std::numeric_limits<float>::quiet_NaN() : -std::numeric_limits<float>::infinity();
  }
  return x;
}

void check(const std::string& name, const Layout& layout, const Rotation& rotation, bool specials, bool must_fuse,
           bool in_place) {
  const Format format = parse_format(name);
  auto x = draw(layout.size(), rotation.n, specials);
  QuantizeContext context;
  context.stream = 5;
  std::vector<float> expected(x.size()), y(x.size());
  rotate_quantize_ref(format, layout, rotation, x.data(), expected.data(), context);
  float* out = in_place ? x.data() : y.data();
  if (must_fuse)
    REQUIRE(kernels::rotate_quantize(format, layout, rotation, x.data(), out, context));
  else
    rotate_quantize(format, layout, rotation, x.data(), out, context);
  const std::size_t at = first_difference(expected.data(), out, y.size());
  if (at < y.size())
    FAIL(name << " had:" << rotation.n << (rotation.back ? " and back" : "") << " on " << kernels::target()
              << ", value " << at << " of " << y.size() << ": one by one " << expected[at] << ", fused " << out[at]);
}

}  // namespace

TEST_CASE("Transform and quantiser fused equal the steps one after the other", "[kernels][rotate]") {
  on_every_target([] {
    for (const char* name :
         {"mxfp4", "mxfp8_e4m3:rule=ceil", "mxint8:rule=ceil", "nvfp4", "nvint4", "int4:g128:s=fp16"})
      for (const std::size_t n : {16, 32, 64, 128, 256, 384, 1024})
        for (const bool back : {false, true}) {
          std::vector<float> signs(n);
          random_signs(signs.data(), n, 2, 0);
          check(name, Layout::matrix(11, 1536 * 2), {n, n % 3 ? signs.data() : nullptr, back}, n == 64, true, n == 32);
        }
  });
}

TEST_CASE("What cannot be fused gives the bits of the steps too", "[kernels][rotate]") {
  on_every_target([] {
    for (const char* name : {"mxfp4", "nvfp4", "int8:channel", "e4m3:tensor", "bf16", "mxfp4:round=sr:seed=3", "nf4"}) {
      check(name, Layout::matrix(3, 600), {12, nullptr, true}, false, false, false);  // ragged groups
      check(name, Layout::matrix(3, 600), {20, nullptr, false}, true, false, true);
      check(name, Layout::vector(4096), {4096, nullptr, true}, false, false, false);
    }
  });
}

TEST_CASE("Fused outputs that are stored past the caches have the same bits", "[kernels][rotate]") {
  on_every_target([] {
    for (const char* name : {"mxfp4", "nvfp4"})
      for (const bool back : {false, true})
        check(name, Layout::vector(std::size_t{9} << 18), {128, nullptr, back}, true, true, false);
  });
}

TEST_CASE("A given tensor maximum is used in place of that of the transformed values", "[kernels][rotate]") {
  const Format format = parse_format("nvfp4");
  const auto x = draw(2048, 1, false);
  QuantizeContext context;
  context.tensor_amax = 123.5f;
  std::vector<float> expected(2048), y(2048), without(2048);
  rotate_quantize_ref(format, Layout::vector(2048), {64, nullptr, false}, x.data(), expected.data(), context);
  rotate_quantize(format, Layout::vector(2048), {64, nullptr, false}, x.data(), y.data(), context);
  rotate_quantize(format, Layout::vector(2048), {64, nullptr, false}, x.data(), without.data());
  CHECK(first_difference(expected.data(), y.data(), 2048) == 2048);
  CHECK(first_difference(expected.data(), without.data(), 2048) < 2048);
}
