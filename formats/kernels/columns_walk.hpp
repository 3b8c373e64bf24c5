// Tensors whose groups run across the contiguous axis.
#pragma once
#include <cstddef>

#include "formats/block.hpp"
#include "formats/kernels/encode.hpp"

namespace lowbit::kernels {

/// outer x length x inner values; groups of `rows` along `length` (the last may be shorter), one for each of `inner`.
struct ColumnGrid {
  std::size_t outer = 0, length = 0, inner = 0, rows = 0, panel = 0;
  /// outer == 0 where the format's groups are not of this kind.
  ColumnGrid(const Format& format, const Layout& layout);
  std::size_t groups() const { return length / rows + (length % rows != 0); }
  std::size_t group_count() const { return outer * groups() * inner; }
};

/// Groups side by side: flat index of the first value, number of the first group, values of each, how many.
struct ColumnRun {
  std::size_t index, number, rows, columns;
};

void quantize_column_tensor(const BlockPlan& plan, const ColumnGrid& grid, const float* x, float* y,
                            const QuantizeContext& context);
void encode_column_tensor(const BlockPlan& plan, const ColumnGrid& grid, const float* x, const SplitParts& out,
                          const QuantizeContext& context);
void decode_column_tensor(const BlockPlan& plan, const ColumnGrid& grid, const SplitParts& in, float* y,
                          Workers* workers);

}  // namespace lowbit::kernels
