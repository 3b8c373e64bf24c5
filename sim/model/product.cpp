#include "sim/model/product.hpp"

#include <cblas.h>

#include <algorithm>
#include <cassert>

#include "sim/model/math.hpp"

namespace lowbit::model {
namespace {

// Each call packs its operands anew: larger tiles pack less, smaller ones share better.
constexpr std::size_t kRowTile = 512;
constexpr std::size_t kColumnTile = 384;
// lm_head: few rows, so many columns that each thread gets enough wide tiles.
constexpr std::size_t kWideTile = 1536, kWide = 16384;
// A single token reads each weight once: threads take most of their share of the rows that are left, down to this many
// bytes, so that they end together. Few pieces, since memory begins each of them anew.
constexpr double kMost = 0.8;
constexpr std::size_t kLeastBytes = 1 << 15;

int size(std::size_t n) {
  return static_cast<int>(n);
}
std::size_t tiles(std::size_t n, std::size_t tile) {
  return (n + tile - 1) / tile;
}

// At most `tile`, so that all tiles of n are of about one size: a gradient often has no more of them than there are
// threads.
std::size_t even_tile(std::size_t n, std::size_t tile) {
  constexpr std::size_t kStep = 16;
  const std::size_t parts = std::max<std::size_t>(1, tiles(n, tile));
  return std::max(kStep, tiles(tiles(n, parts), kStep) * kStep);
}

struct Tiling {
  std::size_t row_tile, column_tile;
  explicit Tiling(const Product& p)
      : row_tile(kRowTile), column_tile(p.y.columns >= kWide ? kWideTile : even_tile(p.y.columns, kColumnTile)) {}
  std::size_t count(const Product& p) const { return tiles(p.y.rows, row_tile) * tiles(p.y.columns, column_tile); }
};

void multiply_tile(const Product& p, const Tiling& tiling, std::size_t tile) {
  // rows fastest: a tile of the weight stays in the cache for all tokens
  const std::size_t down = tiles(p.y.rows, tiling.row_tile);
  const std::size_t row = tile % down * tiling.row_tile, column = tile / down * tiling.column_tile;
  const std::size_t rows = std::min(tiling.row_tile, p.y.rows - row);
  const std::size_t columns = std::min(tiling.column_tile, p.y.columns - column);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(rows), size(columns), size(p.x.columns), 1, p.x.row(row),
              size(p.x.stride), p.w.row(column), size(p.w.stride), 0, p.y.row(row) + column, size(p.y.stride));
  if (p.bias == nullptr) return;
  for (std::size_t i = row; i < row + rows; ++i)
    for (std::size_t c = column; c < column + columns; ++c) p.y.row(i)[c] += p.bias[c];
}

// Products with one row of x. Each value of y is a sum of its own: its bits do not depend on the pieces.
void multiply_vectors(std::span<const Product> products, Threads& threads) {
  struct Piece {
    const Product* product;
    std::size_t first, rows;
  };
  std::vector<Piece> pieces;
  double left = 0;
  for (const Product& p : products) left += 4.0 * static_cast<double>(p.w.rows * p.w.columns);
  for (const Product& p : products) {
    const double row_bytes = 4.0 * static_cast<double>(std::max<std::size_t>(1, p.w.columns));
    for (std::size_t row = 0; row < p.w.rows;) {
      const double share = std::max<double>(kLeastBytes, kMost * left / static_cast<double>(threads.count()));
      const std::size_t rows = std::clamp<std::size_t>(static_cast<std::size_t>(share / row_bytes), 1, p.w.rows - row);
      pieces.push_back({&p, row, rows});
      row += rows;
      left -= row_bytes * static_cast<double>(rows);
    }
  }
  threads.parallel_for(pieces.size(), [&](std::size_t task) {
    const auto [p, first, rows] = pieces[task];
    float* y = p->y.data + first;
    row_products(p->w.slice(first, rows), p->x.data, y);
    if (p->bias != nullptr) add_to(p->bias + first, y, rows);
  });
}

}  // namespace

void multiply(std::span<const Product> products, Threads& threads) {
  if (!products.empty() && products.front().x.rows == 1) return multiply_vectors(products, threads);
  std::vector<std::size_t> first{0};
  for (const Product& p : products) {
    assert(p.x.columns == p.w.columns && p.w.rows == p.y.columns && p.x.rows == p.y.rows);
    first.push_back(first.back() + Tiling(p).count(p));
  }
  threads.parallel_for(first.back(), [&](std::size_t task) {
    const std::size_t i =
        static_cast<std::size_t>(std::upper_bound(first.begin(), first.end(), task) - first.begin()) - 1;
    multiply_tile(products[i], Tiling(products[i]), task - first[i]);
  });
}

void multiply_by_weight(ConstRows dy, ConstRows w, Rows dx, bool add, Threads& threads) {
  assert(dy.columns == w.rows && dx.columns == w.columns && dx.rows == dy.rows);
  const std::size_t down = even_tile(dx.rows, kRowTile), wide = even_tile(dx.columns, kColumnTile);
  const std::size_t across = tiles(dx.columns, wide);
  threads.parallel_for(tiles(dx.rows, down) * across, [&](std::size_t task) {
    const std::size_t row = task / across * down, column = task % across * wide;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size(std::min(down, dx.rows - row)),
                size(std::min(wide, dx.columns - column)), size(dy.columns), 1, dy.row(row), size(dy.stride),
                w.data + column, size(w.stride), add ? 1 : 0, dx.row(row) + column, size(dx.stride));
  });
}

void multiply_transposed(ConstRows dy, ConstRows x, Rows dw, Threads& threads) {
  assert(dy.rows == x.rows && dw.rows == dy.columns && dw.columns == x.columns);
  const std::size_t down = even_tile(dw.rows, kRowTile), wide = even_tile(dw.columns, kColumnTile);
  const std::size_t across = tiles(dw.columns, wide);
  threads.parallel_for(tiles(dw.rows, down) * across, [&](std::size_t task) {
    const std::size_t row = task / across * down, column = task % across * wide;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, size(std::min(down, dw.rows - row)),
                size(std::min(wide, dw.columns - column)), size(dy.rows), 1, dy.data + row, size(dy.stride),
                x.data + column, size(x.stride), 0, dw.row(row) + column, size(dw.stride));
  });
}

}  // namespace lowbit::model
