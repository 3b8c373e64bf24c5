// Crest factor of blocks: how far the largest value stands out.
#pragma once
#include <cstddef>
#include <vector>

#include "formats/block.hpp"
#include "sim/metric/quantiles.hpp"

namespace lowbit {

/// Group length that stands for the whole axis ("per channel").
constexpr long kChannelGroup = -1;

struct CrestFactors {
  double mean = 0;              ///< over the blocks that have one; NaN without such blocks
  Quantiles spread{};           ///< over the same blocks
  std::size_t blocks = 0;       ///< all blocks, zero blocks included
  std::size_t zero_blocks = 0;  ///< blocks whose values are all +-0: they have no crest factor and are left out
};

/// kappa = max|x| / RMS(block), per block of `group` neighbours along the axis (kChannelGroup: the whole axis), the
/// mean not removed, then averaged with equal weights. A shorter last block counts like the others. 1 <= kappa <=
/// sqrt(group). A block with NaN or Inf has no defined crest factor and makes the mean and the quantiles NaN. Sums in
/// double. Source: "INT v.s. FP", arXiv 2510.25602, eq. 11.
CrestFactors crest_factors(const Layout& layout, const float* x, long group);

/// kappa of one block: NaN for a zero block, an empty one, and one with NaN or Inf.
double crest_factor(const float* x, std::size_t n);

}  // namespace lowbit
