// Dense orthogonal transforms: principal directions and random matrices, in bits that do not depend on a library.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sim/rng.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {

/// y = x M for each block of n values, M (n x n, row-major) orthogonal; the inverse is x M^T. Products in float32, sums
/// in index order. `name` is for reports alone: parse_transform does not know it.
std::shared_ptr<const Transform> make_orthogonal(std::string name, std::vector<float> matrix, std::size_t n);

/// Eigenvectors of a symmetric n x n matrix as columns, eigenvalues falling (equal ones in the order of the rotations).
/// Cyclic Jacobi rotations in double until the off-diagonal part is below 1e-14 of the norm. The first entry of largest
/// magnitude of each column is positive.
std::vector<double> principal_directions(std::vector<double> matrix, std::size_t n);

/// A random orthogonal n x n matrix (row-major), Haar distributed: Gram-Schmidt of normal draws.
std::vector<double> random_orthogonal(std::size_t n, Rng& rng);

}  // namespace lowbit
