// The shape convention, written once.
//
// A tensor is dense and in C order (row-major): the last axis is contiguous. Files, tools and HDF5 see this order.
// Inside sim, T tokens x C channels is `arma::fmat(C, T)`: Armadillo is column-major, so a token is a column, a group
// is g neighbours in a column (contiguous), and the same memory is the C-order tensor (T, C). Weights are `fmat(C_in,
// C_out)`, the C-order tensor (C_out, C_in), so that groups along axis -1 run along the contraction.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace lowbit {

/// Extents of a tensor, slowest first; empty for a single value without axes.
using Shape = std::vector<std::size_t>;

/// Number of values: 1 for the empty shape. Error (bad_data, naming `place`) where the product exceeds 2^63 - 1.
std::size_t element_count(const Shape& shape, const std::string& place);

/// "(2, 3)", as Python prints it: "(3,)" for one axis, "()" for none.
std::string to_string(const Shape& shape);

}  // namespace lowbit
