// Tensors whose groups run across the contiguous axis: panels of columns, group by group.
#include <algorithm>
#include <vector>

#include "formats/kernels/columns.hpp"
#include "formats/kernels/columns_walk.hpp"
#include "formats/kernels/pieces.hpp"

namespace lowbit::kernels {

ColumnGrid::ColumnGrid(const Format& format, const Layout& layout) {
  const bool sized = format.group == GroupKind::size;
  if (layout.size() == 0 || layout.inner() == 1 || (!sized && format.group != GroupKind::channel)) return;
  outer = layout.outer();
  length = layout.length();
  inner = layout.inner();
  rows = sized ? std::min(format.group_size, length) : length;
  // tall groups are read again from the second cache: fewer of them side by side
  constexpr std::size_t kTall = 1024;
  panel = rows > kTall ? kPanelColumns / 4 : kPanelColumns;
}

/// Calls use(run) for each panel of the tensor, from the workers.
template <class Use>
static void for_each_panel(const ColumnGrid& g, Workers* workers, const Use& use) {
  const std::size_t panels = g.inner / g.panel + (g.inner % g.panel != 0), count = g.outer * g.groups() * panels;
  const std::size_t piece = std::max<std::size_t>(1, kPieceValues / (g.rows * g.panel));
  in_pieces(workers, count, piece, [&](std::size_t first, std::size_t last) {
    for (std::size_t u = first; u < last; ++u) {
      const std::size_t column = u % panels * g.panel, group = u / panels % g.groups(), o = u / panels / g.groups();
      const std::size_t row = group * g.rows;
      use(ColumnRun{(o * g.length + row) * g.inner + column, (o * g.groups() + group) * g.inner + column,
                    std::min(g.rows, g.length - row), std::min(g.panel, g.inner - column)});
    }
  });
}

void quantize_column_tensor(const BlockPlan& plan, const ColumnGrid& grid, const float* x, float* y,
                            const QuantizeContext& context) {
  for_each_panel(grid, context.workers, [&](const ColumnRun& run) {
    const ColumnGroups g{run.rows, run.columns, grid.inner, context.first_index + run.index};
    quantize_columns(plan, g, x + run.index, y + run.index);
  });
}

void encode_column_tensor(const BlockPlan& plan, const ColumnGrid& grid, const float* x, const SplitParts& out,
                          const QuantizeContext& context) {
  for_each_panel(grid, context.workers, [&](const ColumnRun& run) {
    const ColumnGroups g{run.rows, run.columns, grid.inner, context.first_index + run.index};
    SplitParts parts = out.from(run.number, 0);
    parts.codes = out.codes + run.index;
    encode_columns(plan, g, x + run.index, parts);
  });
}

void decode_column_tensor(const BlockPlan& plan, const ColumnGrid& grid, const SplitParts& in, float* y,
                          Workers* workers) {
  for_each_panel(grid, workers, [&](const ColumnRun& run) {
    SplitParts parts = in.from(run.number, 0);
    parts.codes = in.codes + run.index;
    decode_columns(plan, {run.rows, run.columns, grid.inner, 0}, parts, y + run.index);
  });
}

}  // namespace lowbit::kernels
