// Block primitives that formats, transforms and metrics share: maxima, Walsh-Hadamard transforms, sums. Every order of
// operations is defined here, so that each fast twin gives the same bits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lowbit {

/// max |x_i|; NaN if any is NaN. 0 for n = 0.
float amax_ref(const float* x, std::size_t n);

/// Orders N for which had:N exists: N = m * 2^k with m in {1, 12, 20, 28, 36}.
bool hadamard_order_exists(std::size_t n);
/// The m of such an order; 0 for others.
std::size_t hadamard_outer_factor(std::size_t n);
/// float32(1 / sqrt(n)).
float hadamard_norm(std::size_t n);

/// The Hadamard matrix of order m in {1, 12, 20, 28, 36}, row-major, entries +-1, H H^T = m I. Paley I with q = 11, 19
/// (12, 20), Paley II with q = 13, 17 (28, 36; symmetric). Paley, "On orthogonal matrices", J. Math. Phys. 12 (1933).
const std::vector<int>& hadamard_factor(std::size_t m);

/// y = x H_N / sqrt(N) for each of the `blocks` consecutive blocks of n values (any n that hadamard_order_exists
/// accepts); y may be x. H_N = H_m (x) H_2^k with N = m * 2^k, x seen as m rows of 2^k: first the butterfly inside each
/// row (strides 1, 2, 4, ...; a + b, a - b), then row c of the result is the sum over r = 0, 1, ..., m - 1 of row r
/// times H_m[r][c] (a chain of additions and subtractions that starts from +-row 0), then one multiplication by
/// float32(1/sqrt(N)); all in float32. The inverse takes H_m[c][r]. `signs`: n values +-1 multiplied into x first (into
/// y last for the inverse), or nullptr. NaN and Inf spread through their block as the sums do; every NaN that comes out
/// is 0x7FC00000, since which of two NaNs a sum keeps depends on the machine. Ashkboos et al., QuaRot, arXiv
/// 2404.00456; Dao, fast-hadamard-transform.
void hadamard_ref(const float* x, float* y, std::size_t n, std::size_t blocks, const float* signs, bool inverse);
/// The entry point that everything uses: the kernel, or the reference where there is none. Equal bits.
void hadamard(const float* x, float* y, std::size_t n, std::size_t blocks, const float* signs, bool inverse);

/// n signs of rhad:N:seed=S: +-1 from the top bit of word i of (seed, stream).
void random_signs(float* signs, std::size_t n, std::uint64_t seed, std::uint64_t stream);

/// How all sums here are ordered: 16 virtual lanes of double (value i goes to lane i % 16) inside chunks of 4096
/// values, lanes added pairwise (8, 4, 2, 1), chunks in order. Sums over a whole number of chunks can be made apart and
/// added with add(): the bits are the same. A sum that is NaN is the canonical one.
inline constexpr std::size_t kSumLanes = 16, kSumChunk = 4096;

/// Raw moments of x and of the error x - y (y may be nullptr: no error).
struct BlockSums {
  double sum = 0, sum2 = 0, sum3 = 0, sum4 = 0;  ///< of x
  double error2 = 0;                             ///< of (x - y)^2, the difference taken in double
  float amax = 0;                                ///< max |x|, finite values
  float max_error = 0;                           ///< max |x - y|, rounded to float; NaN once a difference is NaN
  std::size_t count = 0;
  void add(const BlockSums& later);  ///< append, in order
};
BlockSums block_sums_ref(const float* x, const float* y, std::size_t n);
/// The entry point that everything uses: the kernel, or the reference where there is none. Equal bits.
BlockSums block_sums(const float* x, const float* y, std::size_t n);

/// What an error measure needs of x and y: the fields of the same names in BlockSums, and a count.
struct ErrorSums {
  double sum2 = 0, error2 = 0;
  float max_error = 0;
  std::size_t zeroed = 0;  ///< values that are not 0 and become 0
  std::size_t count = 0;
  void add(const ErrorSums& later);  ///< append, in order
};
ErrorSums error_sums_ref(const float* x, const float* y, std::size_t n);
ErrorSums error_sums(const float* x, const float* y, std::size_t n);

/// Sums of (x - mean)^2 and (x - mean)^4, differences in double.
struct CentralSums {
  double sum2 = 0, sum4 = 0;
  void add(const CentralSums& later);  ///< append, in order
};
CentralSums central_sums_ref(const float* x, std::size_t n, double mean);
CentralSums central_sums(const float* x, std::size_t n, double mean);

/// Parts of 16 neighbours: number i gets amax[i] = max |x| (NaN above Inf above numbers) and sum2[i] = sum of x^2 in
/// double, added pairwise (8, 4, 2, 1); the last part may be shorter. Blocks of 16 k values add the sums of their parts
/// in order.
void part_maxima_ref(const float* x, std::size_t n, float* amax, double* sum2);
void part_maxima(const float* x, std::size_t n, float* amax, double* sum2);

/// How many of n values in groups of `group` (the last may be shorter) are above high[g] or below -low[g] of their
/// group g.
std::size_t count_beyond_ref(const float* x, std::size_t n, std::size_t group, const float* high, const float* low);
std::size_t count_beyond(const float* x, std::size_t n, std::size_t group, const float* high, const float* low);

}  // namespace lowbit
