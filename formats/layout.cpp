// Shapes: a tensor with its quantised axis, and where the groups of a format lie in it.
#include <algorithm>
#include <utility>

#include "formats/block.hpp"
#include "formats/error.hpp"
#include "formats/group_walk.hpp"

namespace lowbit {
namespace {

std::size_t product(const std::vector<std::size_t>& shape, std::size_t first, std::size_t last) {
  std::size_t n = 1;
  for (std::size_t i = first; i < last; ++i) n *= shape[i];
  return n;
}

std::size_t resolved_axis(const Layout& layout) {
  const int rank = static_cast<int>(layout.shape.size());
  return static_cast<std::size_t>(layout.axis < 0 ? layout.axis + rank : layout.axis);
}

std::size_t at_least_one(std::size_t n) {
  return n == 0 ? 1 : n;
}

/// Extent of the axis in groups.
std::size_t groups_of(std::size_t extent, std::size_t tile) {
  return extent / tile + (extent % tile != 0);
}

std::size_t row_axis(const Layout& layout) {
  const std::size_t axis = resolved_axis(layout);
  if (layout.shape.size() < 2)
    throw_error(ExitCode::usage, "tiles need a tensor of at least 2 axes, this one has {}", layout.shape.size());
  return axis == 0 ? 1 : axis - 1;
}

/// Positions of a group along the quantised axis.
std::size_t axis_tile(const Format& format, std::size_t length) {
  const bool sized = format.group == GroupKind::size || format.group == GroupKind::tile;
  return at_least_one(sized ? std::min(format.group_size, length) : length);
}

}  // namespace

Layout::Layout(std::vector<std::size_t> shape_, int axis_) : shape(std::move(shape_)), axis(axis_) {
  const int rank = static_cast<int>(shape.size());
  if (axis < -rank || axis >= rank)
    throw_error(ExitCode::usage, "axis {} of a tensor of {} axes: accepted are {} to {}", axis, rank, -rank, rank - 1);
  std::size_t n = 1;
  for (const std::size_t extent : shape)
    if (__builtin_mul_overflow(n, at_least_one(extent), &n))
      throw_error(ExitCode::bad_data, "shape {}: too many values", fmt::join(shape, " x "));
}

std::size_t Layout::size() const {
  return shape.empty() ? 0 : product(shape, 0, shape.size());
}
std::size_t Layout::outer() const {
  return product(shape, 0, shape.empty() ? 0 : resolved_axis(*this));
}
std::size_t Layout::length() const {
  return shape.empty() ? 0 : shape[resolved_axis(*this)];
}
std::size_t Layout::inner() const {
  return shape.empty() ? 1 : product(shape, resolved_axis(*this) + 1, shape.size());
}

GroupGrid::GroupGrid(const Format& format, const Layout& layout) {
  if (format.group == GroupKind::tensor || format.group == GroupKind::none) {
    b = layout.size();
    b_tile = at_least_one(b);
    return;
  }
  outer = layout.outer();
  b = layout.length();
  inner = layout.inner();
  b_tile = axis_tile(format, b);
  if (format.group != GroupKind::tile) return;
  const std::size_t rows = layout.shape.empty() ? 0 : layout.shape[row_axis(layout)];
  const std::size_t row_tile = at_least_one(std::min(format.tile_rows, rows));
  if (resolved_axis(layout) == 0) {  // the axis first, then the rows
    a = b;
    a_tile = b_tile;
    b = rows;
    b_tile = row_tile;
    inner = product(layout.shape, 2, layout.shape.size());
  } else {
    a = rows;
    a_tile = row_tile;
    outer = product(layout.shape, 0, row_axis(layout));
  }
}

std::vector<std::size_t> scale_shape(const Format& format, const Layout& layout) {
  if (format.group == GroupKind::none) return {};
  if (format.group == GroupKind::tensor) return {layout.size() == 0 ? std::size_t{0} : std::size_t{1}};
  std::vector<std::size_t> shape = layout.shape;
  if (shape.empty()) return {0};
  std::size_t& extent = shape[resolved_axis(layout)];
  extent = groups_of(extent, axis_tile(format, extent));
  if (format.group == GroupKind::tile) {
    std::size_t& rows = shape[row_axis(layout)];
    rows = groups_of(rows, at_least_one(std::min(format.tile_rows, rows)));
  }
  return shape;
}

std::size_t group_of(const Format& format, const Layout& layout, std::size_t i) {
  const GroupGrid grid(format, layout);
  const std::size_t k = i % grid.inner;
  const std::size_t b = i / grid.inner % grid.b / grid.b_tile;
  const std::size_t a = i / grid.inner / grid.b % grid.a / grid.a_tile;
  const std::size_t o = i / grid.inner / grid.b / grid.a;
  return ((o * grid.a_groups() + a) * grid.b_groups() + b) * grid.inner + k;
}

}  // namespace lowbit
