// Walsh-Hadamard transforms of blocks, plain and with random signs.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "sim/transform/transform.hpp"

namespace lowbit {

/// y = (x o s) H_n / sqrt(n) in float32, one final multiplication by float32(1/sqrt(n)). n = m 2^k, m in {1, 12, 20,
/// 28, 36}. s: all ones without `seed`; else n signs of Philox(seed, stream), the same for every block. Order of
/// operations: formats/primitives.hpp, hadamard_ref. QuaRot (arXiv 2404.00456), section 3. Error (usage): no such
/// order.
std::shared_ptr<const Transform> make_hadamard(std::size_t n, std::optional<std::uint64_t> seed, std::uint64_t stream);

}  // namespace lowbit
