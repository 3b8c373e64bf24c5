#include "sim/weights/moment.hpp"

#include <cblas.h>

#include <algorithm>
#include <vector>

namespace lowbit::weights {
namespace {

/// Sides of the output tiles: wide enough for BLAS to run at its speed, small enough to share among threads.
std::size_t tile_side(std::size_t width) {
  constexpr std::size_t kLargest = 384, kTiles = 3;
  const std::size_t third = (width + kTiles - 1) / kTiles;
  return std::min(kLargest, (third + 15) / 16 * 16);
}

struct Tile {
  std::size_t row, column;
};

std::vector<Tile> tiles(std::size_t width, std::size_t side, bool triangle) {
  std::vector<Tile> all;
  for (std::size_t row = 0; row < width; row += side)
    for (std::size_t column = triangle ? row : 0; column < width; column += side) all.push_back({row, column});
  return all;
}

void add_tiles(model::ConstRows x, model::ConstRows y, bool triangle, arma::mat& sum, Threads& threads) {
  const std::size_t width = x.columns, side = tile_side(width);
  const std::vector<Tile> all = tiles(width, side, triangle);
  threads.parallel_for(all.size(), [&](std::size_t t) {
    const auto [row, column] = all[t];
    const std::size_t rows = std::min(side, width - row), columns = std::min(side, width - column);
    model::Buffer product(rows * columns);
    for (std::size_t first = 0; first < x.rows; first += kMomentRows) {
      const std::size_t count = std::min(kMomentRows, x.rows - first);
      if (triangle && row == column)
        cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, static_cast<int>(rows), static_cast<int>(count), 1,
                    x.row(first) + row, static_cast<int>(x.stride), 0, product.data(), static_cast<int>(columns));
      else
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, static_cast<int>(rows), static_cast<int>(columns),
                    static_cast<int>(count), 1, x.row(first) + row, static_cast<int>(x.stride), y.row(first) + column,
                    static_cast<int>(y.stride), 0, product.data(), static_cast<int>(columns));
      for (std::size_t j = 0; j < columns; ++j)
        for (std::size_t i = 0; i < (triangle && row == column ? j + 1 : rows); ++i)
          sum(row + i, column + j) += product[i * columns + j];
    }
  });
}

}  // namespace

void MomentSum::add(model::ConstRows x, Threads& threads) {
  add_tiles(x, x, true, sum_, threads);
  tokens_ += x.rows;
}

void MomentSum::add(model::ConstRows x, model::ConstRows y, Threads& threads) {
  symmetric_ = false;
  add_tiles(x, y, false, sum_, threads);
  tokens_ += x.rows;
}

arma::mat MomentSum::mean() const {
  const double factor = tokens_ == 0 ? 0 : 1 / static_cast<double>(tokens_);
  return symmetric_ ? arma::mat(arma::symmatu(sum_) * factor) : arma::mat(sum_ * factor);
}

}  // namespace lowbit::weights
