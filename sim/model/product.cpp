#include "sim/model/product.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <utility>
#include <vector>

#include "sim/model/math.hpp"
#include "sim/model/sgemm.hpp"

namespace lowbit::model {
namespace {

// Libraries that pack what they multiply do so with each call: larger tiles pack less, smaller ones share better.
constexpr std::size_t kRowTile = 512;
constexpr std::size_t kColumnTile = 384;
// A single token reads each weight once: a thread takes what is left of its rows but for one in kKept, down to this
// many bytes, so that threads end together; a helper leaves half of what it finds to other helpers. Few pieces, since
// memory begins each of them anew.
constexpr std::size_t kKept = 5, kKeptByHelpers = 2;
constexpr std::size_t kLeastBytes = 1 << 15;

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
  explicit Tiling(const Product& p) : row_tile(kRowTile), column_tile(even_tile(p.y.columns, kColumnTile)) {}
  std::size_t count(const Product& p) const { return tiles(p.y.rows, row_tile) * tiles(p.y.columns, column_tile); }
};

void multiply_tile(const Product& p, const Tiling& tiling, std::size_t tile) {
  // rows fastest: a tile of the weight stays in the cache for all tokens
  const std::size_t down = tiles(p.y.rows, tiling.row_tile);
  const std::size_t row = tile % down * tiling.row_tile, column = tile / down * tiling.column_tile;
  const std::size_t rows = std::min(tiling.row_tile, p.y.rows - row);
  const std::size_t columns = std::min(tiling.column_tile, p.y.columns - column);
  sgemm(p.x.slice(row, rows), transpose(p.w.slice(column, columns)), p.y.slice(row, rows).part(column, columns));
  if (p.bias == nullptr) return;
  for (std::size_t i = row; i < row + rows; ++i)
    for (std::size_t c = column; c < column + columns; ++c) p.y.row(i)[c] += p.bias[c];
}

// Products with one row of x read the rows of their weights, laid end to end: each thread those of its own part, a
// piece at a time; who has finished helps the others.
struct Part {
  std::atomic<std::size_t> next{0};
  std::size_t end = 0;
  // 128 bytes in all, so that two never share a cache line. Aligned memory, asked for with each product, would leave
  // the heap in splinters that the next large request has to sweep up: 20 us a token.
  std::size_t apart[14];

  // Takes rows first .. first + the result - 1; 0: all are taken. `kept`: one in so many of what is left stays.
  std::size_t take(std::size_t least, std::size_t kept, std::size_t& first) {
    first = next.load(std::memory_order_relaxed);
    while (first < end) {
      const std::size_t left = end - first;
      const std::size_t rows = std::min(left, std::max(least, left - left / kept));
      if (next.compare_exchange_weak(first, first + rows, std::memory_order_relaxed)) return rows;
    }
    return 0;
  }
};

const ConstRows& weight_of(const Product& p) {
  return p.w;
}
const ConstRows& weight_of(const ConstRows& w) {
  return w;
}
template <class T>
std::size_t all_rows(std::span<const T> weights) {
  std::size_t rows = 0;
  for (const T& w : weights) rows += weight_of(w).rows;
  return rows;
}
// Row `row` of all weights laid end to end is row `second` of weight `first`.
template <class T>
std::pair<std::size_t, std::size_t> locate(std::span<const T> weights, std::size_t row) {
  std::size_t i = 0;
  for (; i + 1 < weights.size() && row >= weight_of(weights[i]).rows; ++i) row -= weight_of(weights[i]).rows;
  return {i, row};
}

// Each value of y is a sum of its own: its bits do not depend on the pieces.
void multiply_rows(std::span<const Product> products, std::size_t row, std::size_t count) {
  auto [i, first] = locate(products, row);
  for (; count > 0; ++i, first = 0) {
    const Product& p = products[i];
    const std::size_t rows = std::min(count, p.w.rows - first);
    row_products(p.w.slice(first, rows), p.x.data, p.y.data + first);
    if (p.bias != nullptr) add_to(p.bias + first, p.y.data + first, rows);
    count -= rows;
  }
}

void multiply_vectors(std::span<const Product> products, Threads& threads) {
  const std::size_t rows = all_rows(products), count = threads.count();
  const std::size_t row_bytes = sizeof(float) * std::max<std::size_t>(1, products.front().w.columns);
  const std::size_t least = std::max<std::size_t>(1, kLeastBytes / row_bytes);
  std::vector<Part> parts(count);
  for (std::size_t t = 0; t < count; ++t) {
    parts[t].next = rows * t / count;
    parts[t].end = rows * (t + 1) / count;
  }
  threads.parallel_for(count, [&](std::size_t thread) {
    std::size_t first = 0;
    for (std::size_t t = 0; t < count; ++t)
      while (const std::size_t taken = parts[(thread + t) % count].take(least, t == 0 ? kKept : kKeptByHelpers, first))
        multiply_rows(products, first, taken);
  });
}

}  // namespace

void multiply(std::span<const Product> products, Threads& threads) {
  if (products.empty()) return;
  if (products.front().x.rows == 1) return multiply_vectors(products, threads);
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

void expect_vectors(std::span<const ConstRows> weights, Threads& threads) {
  assert(!weights.empty());
  const std::size_t rows = all_rows(weights);
  for (std::size_t t = 0; t < threads.count(); ++t) {
    const std::size_t first = rows * t / threads.count(), count = rows * (t + 1) / threads.count() - first;
    const auto [i, row] = locate(weights, first);
    threads.expect(t, weights[i].row(row), sizeof(float) * count * weights[i].stride);
  }
}

void multiply_by_weight(ConstRows dy, ConstRows w, Rows dx, bool add, Threads& threads) {
  assert(dy.columns == w.rows && dx.columns == w.columns && dx.rows == dy.rows);
  const std::size_t down = even_tile(dx.rows, kRowTile), wide = even_tile(dx.columns, kColumnTile);
  const std::size_t across = tiles(dx.columns, wide);
  threads.parallel_for(tiles(dx.rows, down) * across, [&](std::size_t task) {
    const std::size_t row = task / across * down, column = task % across * wide;
    const std::size_t rows = std::min(down, dx.rows - row), columns = std::min(wide, dx.columns - column);
    sgemm(dy.slice(row, rows), w.part(column, columns), dx.slice(row, rows).part(column, columns),
          add ? Sum::add : Sum::replace);
  });
}

void multiply_transposed(ConstRows dy, ConstRows x, Rows dw, Threads& threads) {
  assert(dy.rows == x.rows && dw.rows == dy.columns && dw.columns == x.columns);
  const std::size_t down = even_tile(dw.rows, kRowTile), wide = even_tile(dw.columns, kColumnTile);
  const std::size_t across = tiles(dw.columns, wide);
  threads.parallel_for(tiles(dw.rows, down) * across, [&](std::size_t task) {
    const std::size_t row = task / across * down, column = task % across * wide;
    const std::size_t rows = std::min(down, dw.rows - row), columns = std::min(wide, dw.columns - column);
    sgemm(transpose(dy.part(row, rows)), x.part(column, columns), dw.slice(row, rows).part(column, columns));
  });
}

}  // namespace lowbit::model
