// Block primitives that formats, transforms and metrics share: maxima, Walsh-Hadamard transforms, sums. Every order of
// operations is defined here, so that each fast twin gives the same bits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace lowbit {

/// max |x_i|; NaN if any is NaN. 0 for n = 0.
float amax_ref(const float* x, std::size_t n);

/// Orders N for which had:N exists: N = m * 2^k with m in {1, 12, 20, 28, 36}.
bool hadamard_order_exists(std::size_t n);

/// y = x H_N / sqrt(N) for each of the `blocks` consecutive blocks of n values; y may be x. N = m * 2^k: the butterfly on
/// the inner axis 2^k (strides 1, 2, 4, ...), then the m x m factor on the outer axis with sums in index order, then one
/// multiplication by float32(1/sqrt(N)); all in float32. `signs`: n values +-1 multiplied into x first (into y last for
/// the inverse), or nullptr. rotations.md 2a, 2b.
void hadamard_ref(const float* x, float* y, std::size_t n, std::size_t blocks, const float* signs, bool inverse);

/// n signs of rhad:N:seed=S: +-1 from the top bit of word i of (seed, stream).
void random_signs(float* signs, std::size_t n, std::uint64_t seed, std::uint64_t stream);

/// Raw moments of x and of the error x - y (y may be nullptr: no error). Sums are kept in 16 virtual lanes (value i goes to
/// lane i % 16) of double inside chunks of 4096 values, lanes are added pairwise (8, 4, 2, 1), chunks in order.
struct BlockSums {
  double sum = 0, sum2 = 0, sum3 = 0, sum4 = 0;  ///< of x
  double error2 = 0;                             ///< of (x - y)^2, the difference taken in double
  float amax = 0;                                ///< max |x|, finite values
  float max_error = 0;                           ///< max |x - y|
  std::size_t count = 0;
  void add(const BlockSums& later);              ///< append, in order
};
BlockSums block_sums_ref(const float* x, const float* y, std::size_t n);

}  // namespace lowbit
