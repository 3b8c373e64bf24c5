// What the twin tests share: values that hurt, comparison of bits, every target of the machine.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "formats/block.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/random.hpp"
#include "tests/support/catch.hpp"

namespace lowbit::test {

/// Values of every kind: wide and narrow exponents, ties, powers of two +-1 ulp, zeros, subnormals and (mixed in, by
/// `specials`) NaN, Inf, FLT_MAX. `wide`: all exponents; otherwise about 30 binades, so that the blocks of a two-level
/// format do not all underflow.
inline std::vector<float> twin_values(std::size_t n, std::uint64_t stream, bool specials, bool wide) {
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
        x[i] =
            std::bit_cast<float>(((wide ? w[0] % 255 : 110 + w[0] % 20) << 23) + (w[1] % 3) - 1 + (w[2] & 0x80000000u));
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
      const float list[] = {std::numeric_limits<float>::quiet_NaN(), inf, -inf, std::numeric_limits<float>::max(),
                            -1e-45f};
      x[i] = list[w[3] / 97 % 5];
    }
  }
  return x;
}

/// Index of the first difference in bits, or n.
inline std::size_t first_difference(const float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return i;
  return n;
}

/// Runs `body` once for each vector target of this machine, and fails if the forced one is not what ran. A build
/// without kernels has nothing to compare.
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

/// Formats that kernels must cover, with both roundings to nearest and stochastic rounding where they have it.
inline const std::vector<std::string>& twin_formats() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const char* element : {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4"})
      for (const char* rule : {"floor", "ceil", "ceil_pow2", "even"})
        for (const char* round : {"rne", "rna", "sr"})
          names.push_back(std::string(element) + ":rule=" + rule + ":round=" + round);
    for (const char* element : {"mxint8", "mxint6", "mxint4", "mxint3", "mxint2"})
      for (const char* rule : {"floor", "ceil", "ceil_pow2"})
        for (const char* round : {"rne", "rna", "sr"})
          names.push_back(std::string(element) + ":rule=" + rule + ":round=" + round);
    for (const char* base : {"nvfp4",
                             "nvint4",
                             "nvfp4:ts=none",
                             "nvint4:ts=none",
                             "nvfp4:ts=e8m0",
                             "nvfp4:g32",
                             "nvint4:g64",
                             "nvfp4:s=ue5m3",
                             "nvfp4:s=uint8",
                             "nvint4:s=uint8:ts=none",
                             "mxfp4:g16",
                             "mxfp4:g64",
                             "mxfp4:g128",
                             "mxfp4:g256",
                             "mxfp8_e4m3:g256",
                             "int8:g128",
                             "int4:g32",
                             "int4:g128:s=fp16",
                             "int6:g64:s=bf16",
                             "int4:g32:full",
                             "int4:g32:range=pow2",
                             "int4:g32:range=half",
                             "int8:channel",
                             "int8:tensor",
                             "e4m3:channel",
                             "e4m3:tensor",
                             "e5m2:channel",
                             "e2m1:g32",
                             "e2m1:g32:s=e4m3",
                             "e4m3fnuz:channel",
                             "e3m4:g64",
                             "e5m2fnuz:g32",
                             "e4m3b11fnuz:tensor",
                             "mxfp4:nan=ignore",
                             "int4:g32:asym",
                             "int8:g128:asym:s=fp16",
                             "int4:channel:asym",
                             "int4:tensor:asym",
                             "int3:g64:asym:s=bf16",
                             "int2:g16:asym:nan=ignore",
                             "int4:g32:min",
                             "int4:g64:min:s=fp16:z=fp16",
                             "int2:g32:min:s=bf16:z=bf16",
                             "int8:channel:min",
                             "int5:g32",
                             "int7:g128:asym"})
      for (const char* round : {"rne", "rna", "sr"}) names.push_back(std::string(base) + ":round=" + round);
    for (const char* base :
         {"ternary", "ternary:g32:s=fp16:rule=absmean", "ternary:g64:s=bf16:rule=absmax", "ternary:g256:s=fp32",
          "ternary:g48:s=fp32:rule=absmean", "nf4", "bnb_fp4", "nf4:g128:s=fp16", "nf4:channel"})
      for (const char* round : {"rne", "rna"}) names.push_back(std::string(base) + ":round=" + round);
    return names;
  }();
  return all;
}

/// Shapes that a format is tried on: channels and tensors of their own length, blocks whole and ragged.
inline std::vector<Layout> twin_layouts(const std::string& name) {
  if (name.find(":channel") != std::string::npos) return {Layout::matrix(9, 512), Layout::matrix(5, 601)};
  if (name.find(":tensor") != std::string::npos) return {Layout::vector(4096), Layout::matrix(3, 1001)};
  return {Layout::vector(8192), Layout::matrix(7, 600)};
}

/// The same, with groups across the contiguous axis: fewer columns than a panel and more, remainders, short last
/// groups.
inline std::vector<Layout> twin_columns(const std::string& name) {
  // scales of the ternary formats are sums down the columns: the reference's business
  if (name.find(":tensor") != std::string::npos || name.find("ternary") == 0) return {};
  return {Layout({130, 49}, 0), Layout({2, 70, 301}, 1)};
}

/// Plain casts of every element that kernels round to.
inline std::vector<std::string> twin_casts() {
  std::vector<std::string> names;
  for (const Element& e : elements()) {
    const bool grid = e.is_integer() || (e.is_float() && e.is_signed && e.bits < 32);
    if (!grid || e.name.find("_full") != std::string_view::npos) continue;
    for (const char* round : {"rne", "rna", "sr"})
      for (const char* overflow : {"sat", "ovf"}) {
        if (!e.has_nan() && std::string(overflow) == "ovf") continue;
        names.push_back(std::string(e.name) + ":round=" + round + ":" + overflow);
      }
  }
  return names;
}

inline bool is_wide(const std::string& name) {
  return name.rfind("nv", 0) != 0;
}

}  // namespace lowbit::test
