// The discrete cosine transform.
#pragma once
#include <cstddef>
#include <memory>

#include "sim/transform/transform.hpp"

namespace lowbit {

/// Orthonormal DCT-II of blocks of n values: y_k = c_k sum_j x_j cos(pi (2 j + 1) k / (2 n)), c_0 = sqrt(1 / n), else
/// sqrt(2 / n); the inverse is the transpose (DCT-III). Ahmed, Natarajan, Rao, IEEE Trans. Comput. C-23 (1974).
/// Error (usage): n not in 1 .. kLargestDense.
std::shared_ptr<const Transform> make_cosine(std::size_t n);

}  // namespace lowbit
