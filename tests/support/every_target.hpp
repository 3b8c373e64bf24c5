// For twin tests: every vector target of this machine, and bitwise comparison.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "formats/kernels/kernels.hpp"
#include "tests/support/catch.hpp"

namespace lowbit::test {

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

/// Index of the first of n values that differ in bits, or n.
inline std::size_t first_difference(const float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return i;
  return n;
}
inline std::size_t first_difference(const double* a, const double* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (std::bit_cast<std::uint64_t>(a[i]) != std::bit_cast<std::uint64_t>(b[i])) return i;
  return n;
}

}  // namespace lowbit::test
