#include "sim/weights/gptq.hpp"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "formats/error.hpp"
#include "sim/weights/clones.hpp"

namespace lowbit::weights {
namespace {

/// Rows that one task works on: enough for BLAS to run at its speed.
constexpr std::size_t kRows = 96;

/// row -= factor * other.
LOWBIT_WEIGHTS_CLONES void subtract_multiple(double* row, double factor, const double* other, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) row[j] -= factor * other[j];
}

void check_moment(const arma::mat& h, std::size_t columns) {
  if (h.n_rows != columns || h.n_cols != columns)
    throw_error(ExitCode::bad_data, "Hessian: {} x {}, the layer has {} input features", h.n_rows, h.n_cols, columns);
  double largest = 0;
  for (std::size_t j = 0; j < columns; ++j)
    for (std::size_t i = 0; i < columns; ++i) {
      if (!std::isfinite(h(i, j)))
        throw_error(ExitCode::bad_data, "Hessian: value ({}, {}) is {}, finite values are accepted", i, j, h(i, j));
      largest = std::max(largest, std::abs(h(i, j)));
    }
  for (std::size_t j = 0; j < columns; ++j) {
    if (h(j, j) < 0)
      throw_error(ExitCode::bad_data, "Hessian: diagonal value {} is {}, at least 0 is accepted", j, h(j, j));
    for (std::size_t i = 0; i < j; ++i)
      if (std::abs(h(i, j) - h(j, i)) > 1e-4 * largest)
        throw_error(ExitCode::bad_data, "Hessian: not symmetric, ({}, {}) is {} and ({}, {}) is {}", i, j, h(i, j), j,
                    i, h(j, i));
  }
}

std::vector<std::size_t> column_order(const arma::mat& h, ColumnOrder order) {
  std::vector<std::size_t> places(h.n_cols);
  std::iota(places.begin(), places.end(), std::size_t{0});
  if (order == ColumnOrder::act)
    std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) { return h(a, a) > h(b, b); });
  return places;
}

/// Lower triangle in place of h reversed in both axes; false if it is not positive definite.
bool cholesky_reversed(arma::mat& h) {
  h = arma::reverse(arma::reverse(h, 0), 1);
  arma::mat lower;
  if (!arma::chol(lower, h, "lower")) return false;
  h = std::move(lower);
  return h.is_finite();
}

}  // namespace

std::vector<bool> zero_columns(ConstRows w) {
  std::vector<bool> zero(w.columns, true);
  for (std::size_t i = 0; i < w.rows; ++i)
    for (std::size_t c = 0; c < w.columns; ++c)
      if (w.row(i)[c] != 0) zero[c] = false;
  return zero;
}

GptqFactor gptq_factor(const arma::mat& moment, const std::vector<bool>& dead_weights, const GptqOptions& options) {
  const std::size_t n = dead_weights.size();
  check_moment(moment, n);
  arma::mat h = moment;
  GptqFactor factor;
  for (std::size_t j = 0; j < n; ++j) {
    if (h(j, j) != 0 && !dead_weights[j]) continue;
    ++factor.dead_columns;
    h.row(j).zeros();
    h.col(j).zeros();
    h(j, j) = 1;
  }
  // the mean before damping; dead columns count with their 1, as in FP-Quant
  const double damping = options.damping * arma::mean(h.diag());
  h.diag() += damping;
  factor.order = column_order(h, options.order);
  const arma::uvec places = arma::conv_to<arma::uvec>::from(factor.order);
  h = arma::mat(h.submat(places, places));
  // With J the reversal, J H J = L L^T gives H = (J L J)(J L J)^T, upper times lower; its inverse is U^T U with
  // U = (J L J)^-1 = J L^-1 J: the factor GPTQ wants, without forming the inverse of H.
  arma::mat inverse;
  if (cholesky_reversed(h) && arma::inv(inverse, arma::trimatl(h)) && inverse.is_finite()) {
    factor.upper = arma::reverse(arma::reverse(inverse, 0), 1);
  } else {
    factor.fell_back = true;
    factor.upper = arma::eye(n, n);
  }
  return factor;
}

void gptq(ConstRows w, const GptqFactor& factor, const Grid& grid, const GptqOptions& options, Rows q,
          Threads& threads) {
  const std::size_t n = w.columns, block = std::max<std::size_t>(1, std::min(options.block, n));
  const arma::mat u = factor.upper.t();  // column i: row i of U, contiguous
  threads.parallel_for((w.rows + kRows - 1) / kRows, [&](std::size_t piece) {
    const std::size_t first = piece * kRows, count = std::min(kRows, w.rows - first);
    std::vector<double> rest(count * n), errors(count * block);
    for (std::size_t r = 0; r < count; ++r)
      for (std::size_t i = 0; i < n; ++i) rest[r * n + i] = w.row(first + r)[factor.order[i]];
    for (std::size_t begin = 0; begin < n; begin += block) {
      const std::size_t end = std::min(begin + block, n), size = end - begin;
      for (std::size_t r = 0; r < count; ++r) {
        double* row = rest.data() + r * n;
        for (std::size_t i = begin; i < end; ++i) {
          const double* factors = u.colptr(i);
          const float value = grid.value(first + r, factor.order[i], row[i]);
          const double error = (row[i] - value) / factors[i];
          q.row(first + r)[factor.order[i]] = value;
          errors[r * block + i - begin] = error;
          subtract_multiple(row + i + 1, error, factors + i + 1, end - i - 1);
        }
      }
      if (end == n) break;
      // the rest of the row: - errors (count x size) U[begin..end, end..n]; u holds rows of U as columns
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(count), static_cast<int>(n - end),
                  static_cast<int>(size), -1, errors.data(), static_cast<int>(block), u.colptr(begin) + end,
                  static_cast<int>(n), 1, rest.data() + end, static_cast<int>(n));
    }
  });
}

WeightedError::WeightedError(ConstRows w, const arma::mat& moment, Threads& threads) : w_(w), threads_(threads) {
  if (!moment.is_empty()) {
    half_ = moment;  // columns of a symmetric matrix are its rows: BLAS reads it row by row
    half_.diag() *= 0.5;
  }
  energy_ = energy([&](std::size_t i, std::size_t c) { return static_cast<double>(w_.row(i)[c]); });
}

template <class Row>
double WeightedError::energy(Row value) const {
  const std::size_t n = w_.columns, pieces = (w_.rows + kRows - 1) / kRows;
  std::vector<double> sums(pieces);
  threads_.parallel_for(pieces, [&](std::size_t piece) {
    const std::size_t first = piece * kRows, count = std::min(kRows, w_.rows - first);
    std::vector<double> e(count * n);
    for (std::size_t r = 0; r < count; ++r)
      for (std::size_t c = 0; c < n; ++c) e[r * n + c] = value(first + r, c);
    std::vector<double> weighted = e;
    if (!half_.is_empty())
      cblas_dtrmm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, static_cast<int>(count),
                  static_cast<int>(n), 2, half_.memptr(), static_cast<int>(n), weighted.data(), static_cast<int>(n));
    for (std::size_t i = 0; i < e.size(); ++i) sums[piece] += e[i] * weighted[i];
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

double WeightedError::of(ConstRows q) const {
  const double error =
      energy([&](std::size_t i, std::size_t c) { return static_cast<double>(w_.row(i)[c]) - q.row(i)[c]; });
  return error == 0 ? 0 : error / energy_;
}

double weighted_error(ConstRows w, ConstRows q, const arma::mat& moment) {
  Threads one(1);
  return WeightedError(w, moment, one).of(q);
}

}  // namespace lowbit::weights
