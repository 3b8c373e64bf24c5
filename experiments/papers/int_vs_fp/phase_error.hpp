// Relative quantisation errors averaged over the position of the data within their octave.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "formats/block.hpp"
#include "sim/rng.hpp"

namespace lowbit::int_vs_fp {

/// rows x columns of N(0, 1), C order; each row times its own 2^u (u uniform on [0, 1)) if `phases`.
std::vector<float> gaussian_rows(std::size_t rows, std::size_t columns, bool phases, Rng rng);

/// sum (x - q)^2 / sum x^2 of every row.
std::vector<double> row_errors(const std::string& format, const std::vector<float>& x, std::size_t columns);

}  // namespace lowbit::int_vs_fp
