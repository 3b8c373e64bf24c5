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

/// kappa of one block: NaN for a zero block, an empty one, and one with NaN or Inf. Squares are summed in parts of 16
/// values (formats/primitives.hpp, part_maxima), parts in order inside spans of 65536 values, spans in order.
double crest_factor(const float* x, std::size_t n);

/// What a crest factor is made of; blocks that lie in several spans are put together with add().
struct BlockPower {
  float amax = 0;   ///< NaN or Inf where the block holds one
  double sum2 = 0;  ///< of x^2
  std::size_t count = 0;
  void add(const BlockPower& later);
  double crest_factor() const;
};
inline constexpr std::size_t kPowerSpan = 65536;

/// The parts of a piece of a row, from which blocks of every size are made.
class RowParts {
 public:
  /// n values of x.
  void make(const float* x, std::size_t n);
  /// Values [first, first + n) of these, `first` a multiple of 16.
  BlockPower block(std::size_t first, std::size_t n) const;

 private:
  std::size_t size_ = 0;
  std::vector<float> amax_;
  std::vector<double> sum2_;
};

/// Calls visit(BlockPower) for the blocks of `group` values, a multiple of 16, of a row of `length` values that begins
/// at value `first` of `parts`.
template <class Visit>
void for_each_block(const RowParts& parts, std::size_t first, std::size_t length, std::size_t group, Visit&& visit) {
  for (std::size_t begin = 0; begin < length; begin += group)
    visit(parts.block(first + begin, group < length - begin ? group : length - begin));
}

/// Mean of crest factors, which does not depend on their order: they are added as multiples of 2^-47.
class CrestMean {
 public:
  /// Counts the block; its crest factor, or a negative number if it has none that counts.
  double add(const BlockPower& block);
  void merge(const CrestMean& other);
  /// All but the quantiles.
  CrestFactors result() const;
  bool undefined() const { return undefined_; }

 private:
  std::size_t blocks_ = 0, zero_blocks_ = 0;
  bool undefined_ = false;
  unsigned __int128 sum_ = 0;
};

}  // namespace lowbit
