// Orthogonal matrices: principal directions and random ones, in bits that do not depend on a library.
#pragma once
#include <cstddef>
#include <vector>

#include "sim/rng.hpp"

namespace lowbit {

/// Eigenvectors of a symmetric n x n matrix as columns, eigenvalues falling (equal ones in the order of the rotations).
/// Cyclic Jacobi rotations in double until the off-diagonal part is below 1e-14 of the norm. The first entry of largest
/// magnitude of each column is positive.
std::vector<double> principal_directions(std::vector<double> matrix, std::size_t n);

/// A random orthogonal n x n matrix (row-major), Haar distributed: Gram-Schmidt of normal draws.
std::vector<double> random_orthogonal(std::size_t n, Rng& rng);

}  // namespace lowbit
