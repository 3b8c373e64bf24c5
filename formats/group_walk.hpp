// Visiting the groups of a tensor: contiguous ones in place, strided ones through a gathered copy, never transposing
// the whole.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include "formats/block.hpp"

namespace lowbit {

/// A tensor seen as outer x a x b x inner, cut into tiles of a_tile x b_tile positions at one (outer, inner): the
/// groups. Groups are numbered in that order, values inside a group in memory order.
struct GroupGrid {
  std::size_t outer = 1, a = 1, b = 1, inner = 1;
  std::size_t a_tile = 1, b_tile = 1;

  /// Error if the format's groups cannot be laid on the tensor (tiles need a second axis).
  GroupGrid(const Format& format, const Layout& layout);
  std::size_t a_groups() const { return a / a_tile + (a % a_tile != 0); }
  std::size_t b_groups() const { return b / b_tile + (b % b_tile != 0); }
  std::size_t group_count() const { return outer * a_groups() * b_groups() * inner; }
};

/// One group: `rows` x `columns` values, value (r, c) at flat index base + (r * b + c) * inner.
struct GroupPlace {
  std::size_t number, base, rows, columns, row_stride, stride;
  std::size_t size() const { return rows * columns; }
  bool contiguous() const { return stride == 1 && (rows == 1 || row_stride == columns); }
  /// Flat index of value i of the group.
  std::size_t index(std::size_t i) const { return base + i / columns * row_stride + i % columns * stride; }
};

/// Groups side by side in memory that are gathered together, so that cache lines are used whole.
inline constexpr std::size_t kPanel = 16;

/// Calls visit(place, in, out) for each group of the tensor, with `in` and `out` the group's values one after the
/// other; what it leaves in `out` goes to y. x may be y.
template <class In, class Out, class Visit>
void walk_groups(const GroupGrid& grid, const In* x, Out* y, Visit&& visit) {
  if (grid.group_count() == 0) return;  // the other extents of a tensor without values may be astronomic
  std::vector<In> in;
  std::vector<Out> out;
  std::size_t number = 0;
  for (std::size_t o = 0; o < grid.outer; ++o)
    for (std::size_t a = 0; a < grid.a; a += grid.a_tile)
      for (std::size_t b = 0; b < grid.b; b += grid.b_tile)
        for (std::size_t k = 0; k < grid.inner; k += kPanel) {
          GroupPlace place{number,
                           ((o * grid.a + a) * grid.b + b) * grid.inner + k,
                           std::min(grid.a_tile, grid.a - a),
                           std::min(grid.b_tile, grid.b - b),
                           grid.b * grid.inner,
                           grid.inner};
          const std::size_t panel = std::min(kPanel, grid.inner - k);
          number += panel;
          if (place.contiguous()) {
            visit(place, x + place.base, y + place.base);
            continue;
          }
          const std::size_t n = place.size();
          in.resize(panel * n);
          out.resize(panel * n);
          for (std::size_t i = 0; i < n; ++i)
            for (std::size_t p = 0; p < panel; ++p) in[p * n + i] = x[place.index(i) + p];
          for (std::size_t p = 0; p < panel; ++p, ++place.number, ++place.base)
            visit(place, in.data() + p * n, out.data() + p * n);
          place.base -= panel;
          for (std::size_t i = 0; i < n; ++i)
            for (std::size_t p = 0; p < panel; ++p) y[place.index(i) + p] = out[p * n + i];
        }
}

}  // namespace lowbit
