// Crest factors of a tensor that is seen twice, unit by unit.
#pragma once
#include <array>
#include <vector>

#include "experiments/tools/analysis.hpp"
#include "experiments/tools/tensor_pieces.hpp"

namespace lowbit {

/// One worker's part of the tallies, of all groups of kCrestGroups. The first pass counts, the second keeps.
class CrestTally {
 public:
  /// Adds the blocks of a unit. Rows that are spread over units come in parts: their blocks per channel go to `parts`
  /// (an entry a unit) and not to the tally.
  void count(const TensorUnit& unit, const float* x, std::vector<BlockPower>& parts, std::size_t unit_number);
  void merge(const CrestTally& other);
  /// Blocks per channel from their parts, `per_row` after one another.
  void add_rows(const std::vector<BlockPower>& parts, std::size_t per_row);
  void choose_bins();

  using Kept = std::array<TwicePassedQuantiles::Kept, std::size(kCrestGroups)>;
  void keep(const TensorUnit& unit, const float* x, Kept& kept) const;
  std::vector<CrestRow> result(const std::vector<Kept>& kept) const;

 private:
  template <class Use>
  static void for_each(const TensorUnit& unit, const float* x, const Use& use);

  std::array<CrestMean, std::size(kCrestGroups)> means_;
  std::array<TwicePassedQuantiles, std::size(kCrestGroups)> quantiles_;
  std::vector<double> rows_;  ///< crest factors of rows that came in parts
};

}  // namespace lowbit
