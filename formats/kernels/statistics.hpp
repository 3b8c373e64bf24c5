// Sums over chunks of a tensor, as formats/primitives.hpp orders them: what the vector kernels of statistics compute.
#pragma once
#include <cstddef>

#include "formats/primitives.hpp"

namespace lowbit::kernels {

/// One chunk (at most kSumChunk values) of block_sums_ref, error_sums_ref, central_sums_ref.
BlockSums chunk_sums(const float* x, const float* y, std::size_t n);
ErrorSums chunk_errors(const float* x, const float* y, std::size_t n);
CentralSums chunk_central_sums(const float* x, std::size_t n, double mean);
/// part_maxima_ref.
void run_part_maxima(const float* x, std::size_t n, float* amax, double* sum2);
/// count_beyond_ref.
std::size_t run_count_beyond(const float* x, std::size_t n, std::size_t group, const float* high, const float* low);

}  // namespace lowbit::kernels
