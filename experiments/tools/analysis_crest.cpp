#include "experiments/tools/analysis_crest.hpp"

#include <algorithm>
#include <limits>

#include "sim/metric/rows.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kGroups = std::size(kCrestGroups);
static_assert(kCrestGroups[0] == kChannelGroup);

}  // namespace

/// Calls use(group number, block) for every block of the unit.
template <class Use>
void CrestTally::for_each(const TensorUnit& unit, const float* x, const Use& use) {
  thread_local RowParts parts;
  const auto row_blocks = [&](std::size_t first, std::size_t length) {
    for (std::size_t g = 0; g < kGroups; ++g) {
      const std::size_t group = g == 0 ? length : static_cast<std::size_t>(kCrestGroups[g]);
      for_each_block(parts, first, length, group, [&](const BlockPower& block) { use(g, block); });
    }
  };
  const std::size_t length = unit.layout.length();
  if (unit.layout.inner() == 1 && length % 16 == 0) {  // rows begin with a part: all at once
    parts.make(x, unit.count);
    for (std::size_t first = 0; first < unit.count; first += length) row_blocks(first, length);
    return;
  }
  for_each_row(unit.layout, x, [&](const float* row, std::size_t n) {
    parts.make(row, n);
    row_blocks(0, n);
  });
}

void CrestTally::count(const TensorUnit& unit, const float* x, std::vector<BlockPower>& parts,
                       std::size_t unit_number) {
  for_each(unit, x, [&](std::size_t g, const BlockPower& block) {
    if (g == 0 && !unit.whole_rows) {
      parts[unit_number] = block;
      return;
    }
    const double crest = means_[g].add(block);
    if (crest > 0) quantiles_[g].count(crest);
  });
}

void CrestTally::merge(const CrestTally& other) {
  for (std::size_t g = 0; g < kGroups; ++g) {
    means_[g].merge(other.means_[g]);
    quantiles_[g].merge_counts(other.quantiles_[g]);
  }
}

void CrestTally::add_rows(const std::vector<BlockPower>& parts, std::size_t per_row) {
  for (std::size_t first = 0; per_row > 1 && first < parts.size(); first += per_row) {
    BlockPower row;
    for (std::size_t i = 0; i < per_row; ++i) row.add(parts[first + i]);
    const double crest = means_[0].add(row);
    if (crest > 0) rows_.push_back(crest);
  }
}

void CrestTally::choose_bins() {
  for (TwicePassedQuantiles& q : quantiles_) q.choose_bins();
}

void CrestTally::keep(const TensorUnit& unit, const float* x, Kept& kept) const {
  for_each(unit, x, [&](std::size_t g, const BlockPower& block) {
    if (block.amax == 0 || means_[g].undefined() || (g == 0 && !unit.whole_rows)) return;
    quantiles_[g].keep(block.crest_factor(), kept[g]);
  });
}

std::vector<CrestRow> CrestTally::result(const std::vector<Kept>& kept) const {
  std::vector<CrestRow> rows;
  for (std::size_t g = 0; g < kGroups; ++g) {
    CrestRow row{kCrestGroups[g], means_[g].result()};
    std::vector<TwicePassedQuantiles::Kept> parts;
    for (const Kept& k : kept) parts.push_back(k[g]);
    if (means_[g].undefined())
      row.crest.spread = quantiles({std::numeric_limits<double>::quiet_NaN()});
    else
      row.crest.spread = g == 0 && !rows_.empty() ? quantiles(rows_) : quantiles_[g].result(parts);
    rows.push_back(row);
  }
  return rows;
}

}  // namespace lowbit
