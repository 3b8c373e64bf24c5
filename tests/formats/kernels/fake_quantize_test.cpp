// Each kernel equals its reference bit for bit, on every target that this machine has.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "formats/block.hpp"
#include "formats/error.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/random.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

/// Values of every kind: wide and narrow exponents, ties, powers of two +-1 ulp, zeros, subnormals and (mixed in, by
/// `specials`) NaN, Inf, FLT_MAX.
/// `wide`: all exponents; otherwise about 30 binades, so that the blocks of a two-level format do not all underflow.
std::vector<float> values(std::size_t n, std::uint64_t stream, bool specials, bool wide) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto w = philox(1, stream, i);
    const std::uint32_t run = philox(2, stream, i / 32)[0];  // a property of 32 neighbours
    switch (run % 8) {
      case 0:
      case 1:
      case 2:  // one binade or a few, half steps included
        x[i] = std::bit_cast<float>((w[0] & 0x80f00000u) | 0x3f000000u | ((w[1] & 3u) << 23));
        break;
      case 3:
      case 4:
        x[i] = std::bit_cast<float>((w[0] & 0x807fffffu) | ((100 + w[1] % 30) << 23));
        break;
      case 5:
        x[i] = std::bit_cast<float>(((wide ? w[0] % 255 : 110 + w[0] % 20) << 23) + (w[1] % 3) - 1 + (w[2] & 0x80000000u));
        if (!(x[i] == x[i]) || x[i] > 3e38f || x[i] < -3e38f) x[i] = 1;
        break;
      case 6:
        x[i] = w[0] % 3 ? 0.0f * (w[1] % 2 ? 1.0f : -1.0f) : static_cast<float>(w[1] % 64) * 0.125f;
        break;
      default:
        x[i] = run & 8 ? 0.0f : std::bit_cast<float>(w[0] & 0x807fffffu);  // all zero, or subnormal
    }
    if (specials && w[3] % 97 == 0) {
      const float inf = std::numeric_limits<float>::infinity();
      const float list[] = {std::numeric_limits<float>::quiet_NaN(), inf, -inf, std::numeric_limits<float>::max(), -1e-45f};
      x[i] = list[w[3] / 97 % 5];
    }
  }
  return x;
}

/// Index of the first difference in bits, or n.
std::size_t first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return i;
  }
  return a.size();
}

void check_twin(const std::string& name, const Layout& layout, std::uint64_t stream, bool specials, std::size_t offset = 0) {
  const Format format = parse_format(name);
  const std::size_t n = layout.size();
  const bool wide = name.rfind("nv", 0) != 0;
  std::vector<float> x = values(n + offset, stream, specials, wide), expected(n), y(n + offset, -7.0f);
  fake_quantize_ref(format, layout, x.data() + offset, expected.data());
  if (n >= 1024) {
    REQUIRE(kernels::fake_quantize(format, layout, x.data() + offset, y.data() + offset, {}));
  } else {  // a tensor of zeros has no second-level scale: the reference's business
    fake_quantize(format, layout, x.data() + offset, y.data() + offset);
  }
  const std::vector<float> got(y.begin() + static_cast<std::ptrdiff_t>(offset), y.end());
  const std::size_t at = first_difference(expected, got);
  if (at < n) {
    FAIL(name << " on " << kernels::target() << ", n = " << n << ", offset " << offset << ": value " << at << ", x = "
              << x[at + offset] << ": reference " << expected[at] << ", kernel " << got[at]);
  }
  // in place
  fake_quantize(format, layout, x.data() + offset, x.data() + offset);
  REQUIRE(first_difference(expected, {x.begin() + static_cast<std::ptrdiff_t>(offset), x.end()}) == n);
}

const std::vector<std::string> kFormats = [] {
  std::vector<std::string> names;
  for (const char* element : {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4"}) {
    for (const char* rule : {"floor", "ceil", "ceil_pow2", "even"}) {
      for (const char* round : {"rne", "rna"}) {
        names.push_back(std::string(element) + ":rule=" + rule + ":round=" + round);
      }
    }
  }
  for (const char* element : {"mxint8", "mxint6", "mxint4", "mxint3", "mxint2"}) {
    for (const char* rule : {"floor", "ceil", "ceil_pow2"}) {
      for (const char* round : {"rne", "rna"}) {
        names.push_back(std::string(element) + ":rule=" + rule + ":round=" + round);
      }
    }
  }
  for (const char* name : {"nvfp4", "nvint4", "nvfp4:ts=none", "nvint4:ts=none", "nvfp4:ts=e8m0", "nvfp4:g32", "nvint4:g64",
                           "mxfp4:g16", "mxfp4:g64", "mxfp4:g128", "mxfp8_e4m3:g256", "int8:g128", "int4:g32", "int4:g128:s=fp16",
                           "int6:g64:s=bf16", "int4:g32:full", "int4:g32:range=pow2", "int4:g32:range=half", "int8:channel",
                           "int8:tensor", "e4m3:channel", "e4m3:tensor", "e5m2:channel", "e2m1:g32", "e2m1:g32:s=e4m3",
                           "e4m3fnuz:channel", "e3m4:g64", "mxfp4:nan=ignore", "nvfp4:round=rna", "int4:g32:round=rna"}) {
    names.emplace_back(name);
  }
  return names;
}();

/// Runs `body` once for each vector target of this machine, and fails if the forced one is not what ran.
template <class Body>
void on_every_target(Body body) {
  for (const std::string& name : kernels::targets()) {
    if (name == "ref") continue;
    kernels::force_target(name);
    REQUIRE(kernels::target() == name);
    body();
  }
  kernels::force_target("");
}

}  // namespace

TEST_CASE("block kernels equal the reference on whole and ragged tensors", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : kFormats) {
      for (const bool specials : {false, true}) {
        if (name.find(":channel") != std::string::npos) {
          check_twin(name, Layout::matrix(9, 512), 1, specials);
        } else if (name.find(":tensor") != std::string::npos) {
          check_twin(name, Layout::vector(4096), 2, specials);
        } else {
          check_twin(name, Layout::vector(8192), 3, specials);
          check_twin(name, Layout::matrix(7, 600), 4, specials);
        }
      }
    }
  });
}

TEST_CASE("block kernels equal the reference at every length and offset", "[kernels]") {
  on_every_target([] {
    for (const char* name : {"mxfp4", "mxint8:rule=ceil", "nvfp4", "int4:g32", "mxfp8_e4m3:rule=even"}) {
      for (std::size_t n = 1; n <= 130; ++n) check_twin(name, Layout::vector(n), n, n % 3 == 0);
      for (std::size_t offset = 0; offset < 17; ++offset) check_twin(name, Layout::vector(1024), 77, true, offset);
    }
  });
}

TEST_CASE("outputs that are stored past the caches have the same bits", "[kernels]") {
  on_every_target([] {
    for (const char* name : {"mxfp4:rule=ceil", "nvfp4"}) check_twin(name, Layout::vector((std::size_t{4} << 20) + 5), 5, true);
  });
}

TEST_CASE("the caller's flush-to-zero state neither matters nor changes", "[kernels]") {
#if defined(__SSE2__)
  const unsigned before = __builtin_ia32_stmxcsr();
  on_every_target([&] {
    const Format format = parse_format("mxfp4");
    std::vector<float> x(64), y(64), expected(64);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(0x08000000 + 77777 * i));
    fake_quantize_ref(format, Layout::vector(64), x.data(), expected.data());
    __builtin_ia32_ldmxcsr(before | 0x8040u);  // FTZ and DAZ
    kernels::fake_quantize(format, Layout::vector(64), x.data(), y.data(), {});
    const unsigned after = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before);
    CHECK((after & 0x8040u) == 0x8040u);
    CHECK(first_difference(expected, y) == 64);
  });
#endif
}

TEST_CASE("an unknown kernel is refused with those that this machine has", "[kernels]") {
  CHECK_THROWS_WITH(kernels::force_target("avx9000"), lowbit::test::contains("accepted: ") && lowbit::test::contains("ref"));
  kernels::force_target("ref");
  CHECK(kernels::target() == "ref");
  CHECK_FALSE(kernels::fake_quantize(parse_format("mxfp4"), Layout::vector(32), nullptr, nullptr, {}));
  kernels::force_target("");
}
