// Random orthogonal matrices as transforms of the name grammar.
#pragma once
#include <cstdint>
#include <memory>

#include "sim/transform/transform.hpp"

namespace lowbit {

/// orth:N:seed=S: random_orthogonal (orthogonal.hpp, Haar) of order n drawn from (seed, stream), the same for every
/// block. Error (usage): n not in 1 .. kLargestDense.
std::shared_ptr<const Transform> make_random_rotation(std::size_t n, std::uint64_t seed, std::uint64_t stream);

}  // namespace lowbit
