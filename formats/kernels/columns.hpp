// Groups across the contiguous axis: value i of group k lies at x[i * stride + k]. One lane is one group.
#pragma once
#include <cstddef>
#include <cstdint>

#include "formats/kernels/encode.hpp"

namespace lowbit::kernels {

/// Groups side by side that a kernel takes at once.
constexpr std::size_t kPanelColumns = 512;

struct ColumnGroups {
  std::size_t rows, columns;  ///< values of a group; groups, at most kPanelColumns
  std::size_t stride;         ///< from a value of a group to the next
  std::uint64_t index;        ///< flat index of the first value of the first group
};

void quantize_columns(const BlockPlan& plan, const ColumnGroups& g, const float* x, float* y);
/// Codes have the stride of the values and take a byte; scales and zero points are those of consecutive groups.
void encode_columns(const BlockPlan& plan, const ColumnGroups& g, const float* x, SplitParts out);

/// Values of the codes of such groups.
void decode_columns(const BlockPlan& plan, const ColumnGroups& g, SplitParts in, float* y);

}  // namespace lowbit::kernels
