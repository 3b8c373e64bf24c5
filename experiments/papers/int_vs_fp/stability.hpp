// Numerical stability of the symmetric integer range (arXiv:2510.25602, Algorithm 1, Table 11 and section 3.3): how
// often x / (amax / 127) comes out as +-128 when scale and quotient are rounded to a short float.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "formats/element.hpp"

namespace lowbit::int_vs_fp {

/// Algorithm 1 for one value d of `element`: s = d / 127 and d / s, each rounded once to nearest even with subnormals
/// kept; the quotient rounded to an integer (ties to even). 0 for d = 0 (where the algorithm divides 0 by 0), Inf where
/// s underflows to 0.
double scaled_code(const Element& element, float d);

/// Exact probability over d ~ N(0, 1), rounded once to `element` (at most 16 bits), that scaled_code is 128, and that
/// it is at least 128 but finite: the sum over all codes of the element of the Gaussian mass of their rounding
/// interval.
struct Algorithm1Probability {
  double equal = 0;
  double at_least = 0;
};
Algorithm1Probability algorithm1_probability(const Element& element);

/// Number of the 2^23 mantissas of binary32 (d in [1, 2)) for which Algorithm 1 gives 128. d / s does not depend on the
/// exponent while s is normal, so 0 here means 0 for every |d| >= 127 * 2^-126.
std::size_t algorithm1_binary32_mantissas();

/// How a block is scaled and divided: what is rounded to BF16, what kept in FP32.
enum class BlockArithmetic {
  bf16,             ///< s = bf16(amax / 127), q = bf16(x / s)
  bf16_reciprocal,  ///< s = bf16(amax / 127), r = bf16(1 / s), q = bf16(x r)
  bf16_scale,       ///< s = bf16(amax / 127), q in FP32
  bf16_quotient,    ///< s in FP32, q = bf16(x / s)
  fp32,             ///< both in FP32
  e8m0,             ///< s = 2^ceil(log2(amax / 127)) from exact exponents, q exact
  e8m0_bf16_log2    ///< s = 2^ceil(bf16(log2(bf16(amax / 127)))): the authors' code on BF16 tensors
};
inline constexpr std::string_view kBlockArithmeticNames[] = {
    "bf16", "bf16_reciprocal", "bf16_scale", "bf16_quotient", "fp32", "e8m0", "e8m0_bf16_log2"};

/// INT8 codes of a block before clipping: the extremes over its values. An all-zero block gives 0, 0.
struct CodeRange {
  double low = 0, high = 0;
};
CodeRange unclipped_codes(std::span<const float> block, BlockArithmetic arithmetic);

/// Exact share of blocks of n values N(0, sigma^2), rounded to BF16, in which the largest magnitude gets code 128 with
/// BlockArithmetic::bf16.
double overflow_probability(std::size_t n, double sigma);

}  // namespace lowbit::int_vs_fp
