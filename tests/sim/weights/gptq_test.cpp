// GPTQ held to brute force, to itself unblocked, and to rounding.
#include "sim/weights/gptq.hpp"

#include <cmath>

#include "sim/rng.hpp"
#include "sim/weights/method.hpp"
#include "sim/weights/moment.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using namespace lowbit::weights;
using lowbit::test::refusal_of;

namespace {

Threads& threads() {
  static Threads pool(2);
  return pool;
}

Matrix draw(std::size_t rows, std::size_t columns, Rng rng) {
  Matrix w(rows, columns);
  for (std::size_t i = 0; i < rows * columns; ++i) w.data()[i] = static_cast<float>(rng.normal());
  return w;
}

/// Mean x x^T of correlated channels: positive definite when there are more tokens than channels.
arma::mat draw_moment(std::size_t n, Rng rng, std::size_t tokens = 0) {
  if (tokens == 0) tokens = 2 * n;
  const Matrix mix = draw(n, n, rng.split("mix")), z = draw(tokens, n, rng.split("z"));
  arma::mat h(n, n, arma::fill::zeros);
  for (std::size_t t = 0; t < tokens; ++t) {
    arma::vec x(n, arma::fill::zeros);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) x(i) += (mix.view().row(i)[j] + (i == j ? 3.0 : 0.0)) * z.view().row(t)[j];
    h += x * x.t() / static_cast<double>(tokens);
  }
  return arma::symmatu(h);
}

Matrix solve(const Matrix& w, const arma::mat& h, const Grid& grid, const GptqOptions& options) {
  Matrix q(w.rows(), w.columns());
  gptq(w, gptq_factor(h, zero_columns(w), options), grid, options, q, threads());
  return q;
}

/// (w - q) H (w - q)^T of one row.
double row_error(const float* w, const float* q, const arma::mat& h) {
  arma::vec e(h.n_rows);
  for (std::size_t i = 0; i < h.n_rows; ++i) e(i) = static_cast<double>(w[i]) - q[i];
  return arma::as_scalar(e.t() * h * e);
}

}  // namespace

TEST_CASE("gptq: two columns against brute force", "[weights]") {
  // q1 is the rounded w1; given q1, q2 is the best value of the grid; the best pair is at most as wrong
  Rng rng(1, std::string_view("two columns"));
  const Format format = parse_format("e2m1:channel:s=fp32");
  std::size_t strictly_better = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const Matrix w = draw(4, 2, rng.split("w" + std::to_string(trial)));
    const arma::mat h = draw_moment(2, rng.split("h" + std::to_string(trial)));
    const Grid grid = Grid::make(format, w, ScaleSearch::absmax, threads());
    GptqOptions options;
    options.damping = 0;
    const Matrix q = solve(w, h, grid, options);
    for (std::size_t r = 0; r < 4; ++r) {
      const float* row = w.view().row(r);
      CHECK(q.view().row(r)[0] == grid.value(r, 0, row[0]));
      std::vector<float> values;  // all 15 of the row's grid: scale = amax / 6
      const float scale = std::max(std::abs(row[0]), std::abs(row[1])) / 6.0f;
      for (const float v : {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f}) {
        values.push_back(v * scale);
        if (v != 0) values.push_back(-v * scale);
      }
      const float pair[] = {q.view().row(r)[0], q.view().row(r)[1]};
      const double ours = row_error(row, pair, h);
      double best_second = HUGE_VAL, best = HUGE_VAL;
      for (const float second : values) {
        const float given[] = {pair[0], second};
        best_second = std::min(best_second, row_error(row, given, h));
        for (const float first : values) {
          const float free[] = {first, second};
          best = std::min(best, row_error(row, free, h));
        }
      }
      CHECK(ours == best_second);
      CHECK(best <= ours);
      strictly_better += best < ours;
    }
  }
  CHECK(strictly_better > 0);  // greedy is not optimal: the comparison can tell
}

TEST_CASE("gptq: blocks do not change the codes", "[weights]") {
  Rng rng(2, std::string_view("blocks"));
  for (const char* name : {"nvfp4", "mxfp4:like=fp_quant", "int4:g32:asym"}) {
    for (const ColumnOrder order : {ColumnOrder::index, ColumnOrder::act}) {
      const Matrix w = draw(128, 192, rng.split(name));
      const arma::mat h = draw_moment(192, rng.split("h"));
      const Grid grid = Grid::make(parse_format(name), w, ScaleSearch::absmax, threads());
      GptqOptions whole{0.01, 192, order};
      const GptqFactor factor = gptq_factor(h, zero_columns(w), whole);
      Matrix unblocked(128, 192);
      gptq(w, factor, grid, whole, unblocked, threads());
      // rows in which a decision would change for values 1e-9 away are left out and counted
      std::vector<bool> excluded(128, false);
      for (std::size_t r = 0; r < 128; ++r) {
        std::vector<double> rest(192);
        for (std::size_t i = 0; i < 192; ++i) rest[i] = w.view().row(r)[factor.order[i]];
        for (std::size_t i = 0; i < 192; ++i) {
          const std::size_t column = factor.order[i];
          if (grid.value(r, column, rest[i] * (1 - 1e-9)) != grid.value(r, column, rest[i] * (1 + 1e-9)))
            excluded[r] = true;
          const double error = (rest[i] - grid.value(r, column, rest[i])) / factor.upper(i, i);
          for (std::size_t j = i + 1; j < 192; ++j) rest[j] -= error * factor.upper(i, j);
        }
      }
      std::size_t left_out = 0;
      for (const std::size_t block : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{128}}) {
        GptqOptions blocked = whole;
        blocked.block = block;
        Matrix q(128, 192);
        gptq(w, factor, grid, blocked, q, threads());
        for (std::size_t r = 0; r < 128; ++r) {
          if (excluded[r]) {
            ++left_out;
            continue;
          }
          for (std::size_t c = 0; c < 192; ++c) REQUIRE(q.view().row(r)[c] == unblocked.view().row(r)[c]);
        }
      }
      INFO(name << ": " << left_out / 4 << " of 128 rows left out");
      CHECK(left_out < 4 * 13);
    }
  }
}

TEST_CASE("gptq: a multiple of the identity gives rounding to nearest", "[weights]") {
  Rng rng(3, std::string_view("identity"));
  for (const char* name : {"nvfp4", "mxfp4", "nvfp4:like=fp_quant", "int4:g32:s=fp16", "int4:g32:asym"})
    for (const double c : {1e-12, 1.0, 3e7})
      for (const ColumnOrder order : {ColumnOrder::index, ColumnOrder::act}) {
        const Matrix w = draw(16, 96, rng.split(name));
        const Grid grid = Grid::make(parse_format(name), w, ScaleSearch::absmax, threads());
        Matrix nearest(16, 96);
        grid.round(w, nearest, threads());
        const Matrix q = solve(w, arma::eye(96, 96) * c, grid, {0.01, 32, order});
        for (std::size_t i = 0; i < 16 * 96; ++i) REQUIRE(q.data()[i] == nearest.data()[i]);
      }
}

TEST_CASE("gptq: the weighted error is below that of rounding in the mean over Hessians", "[weights]") {
  Rng rng(4, std::string_view("mean"));
  for (const char* name : {"nvfp4", "mxfp4", "int4:g32"}) {
    double ours = 0, nearest_error = 0, with_order = 0;
    for (int trial = 0; trial < 100; ++trial) {
      const Matrix w = draw(16, 64, rng.split("w" + std::to_string(trial)));
      const arma::mat h = draw_moment(64, rng.split("h" + std::to_string(trial)));
      const Grid grid = Grid::make(parse_format(name), w, ScaleSearch::absmax, threads());
      Matrix nearest(16, 64);
      grid.round(w, nearest, threads());
      ours += weighted_error(w, solve(w, h, grid, {}), h);
      with_order += weighted_error(w, solve(w, h, grid, {0.01, 128, ColumnOrder::act}), h);
      nearest_error += weighted_error(w, nearest, h);
    }
    INFO(name);
    CHECK(ours < nearest_error);
    CHECK(with_order < nearest_error);
  }
}

TEST_CASE("gptq: the factor is that of the inverse", "[weights]") {
  const arma::mat h = draw_moment(40, Rng(5, std::string_view("factor")));
  const GptqFactor factor = gptq_factor(h, std::vector<bool>(40, false), {0.05, 128, ColumnOrder::act});
  arma::mat damped = h;
  damped.diag() += 0.05 * arma::mean(h.diag());
  arma::mat permuted(40, 40);
  for (std::size_t i = 0; i < 40; ++i)
    for (std::size_t j = 0; j < 40; ++j) permuted(i, j) = damped(factor.order[i], factor.order[j]);
  const arma::mat identity = factor.upper.t() * factor.upper * permuted;
  CHECK(arma::abs(identity - arma::eye(40, 40)).max() < 1e-9);
  CHECK(arma::abs(arma::trimatl(factor.upper, -1)).max() == 0);
  for (std::size_t i = 1; i < 40; ++i)
    CHECK(h(factor.order[i - 1], factor.order[i - 1]) >= h(factor.order[i], factor.order[i]));
}

TEST_CASE("gptq: dead columns take no part; a Hessian that cannot be factored is reported", "[weights]") {
  Rng rng(6, std::string_view("dead"));
  Matrix w = draw(8, 32, rng);
  arma::mat h = draw_moment(32, rng);
  for (std::size_t r = 0; r < 8; ++r) w.view().row(r)[5] = 0;  // no weight
  h.row(9).zeros();                                            // no input
  h.col(9).zeros();
  const Grid grid = Grid::make(parse_format("nvfp4"), w, ScaleSearch::absmax, threads());
  const GptqFactor factor = gptq_factor(h, zero_columns(w), {});
  CHECK(factor.dead_columns == 2);
  const Matrix q = solve(w, h, grid, {});
  for (std::size_t r = 0; r < 8; ++r) {
    CHECK(q.view().row(r)[5] == 0);
    CHECK(q.view().row(r)[9] == grid.value(r, 9, w.view().row(r)[9]));
  }
  const arma::mat rank_one = arma::ones(32, 32);
  CHECK(gptq_factor(rank_one, std::vector<bool>(32, false), {}).fell_back == false);  // damping makes it definite
  arma::mat indefinite = arma::eye(32, 32);
  indefinite(0, 1) = indefinite(1, 0) = 4;
  const GptqFactor failed = gptq_factor(indefinite, std::vector<bool>(32, false), {});
  CHECK(failed.fell_back);
  Matrix nearest(8, 32);
  grid.round(w, nearest, threads());
  Matrix fallback(8, 32);
  gptq(w, failed, grid, {}, fallback, threads());
  for (std::size_t i = 0; i < 8 * 32; ++i) CHECK(fallback.data()[i] == nearest.data()[i]);
}

TEST_CASE("gptq: bad Hessians are refused with the place", "[weights]") {
  const std::vector<bool> alive(4, false);
  arma::mat h = arma::eye(4, 4);
  h(1, 2) = NAN;
  CHECK(refusal_of([&] { gptq_factor(h, alive, {}); }).names("(1, 2) is nan"));
  h(1, 2) = 0.5;
  CHECK(refusal_of([&] { gptq_factor(h, alive, {}); }).names("not symmetric"));
  h(1, 2) = 0;
  h(3, 3) = -1;
  CHECK(refusal_of([&] { gptq_factor(h, alive, {}); }).names("diagonal value 3 is -1"));
  CHECK(refusal_of([&] { gptq_factor(arma::eye(3, 3), alive, {}); }).names("3 x 3"));
}

TEST_CASE("moment: sums of products, whatever the pieces and threads", "[weights]") {
  const Matrix x = draw(5000, 50, Rng(7, std::string_view("x"))), y = draw(5000, 50, Rng(7, std::string_view("y")));
  MomentSum sum(50), cross(50), one_thread(50);
  Threads single(1);
  sum.add(x.view().slice(0, 1234), threads());
  sum.add(x.view().slice(1234, 3766), threads());
  one_thread.add(x.view().slice(0, 1234), single);
  one_thread.add(x.view().slice(1234, 3766), single);
  cross.add(x, y, threads());
  CHECK(sum.tokens() == 5000);
  const arma::mat a = sum.mean(), b = cross.mean();
  CHECK(arma::approx_equal(a, one_thread.mean(), "absdiff", 0));
  for (std::size_t i = 0; i < 50; ++i)
    for (std::size_t j = 0; j < 50; ++j) {
      double xx = 0, xy = 0;
      for (std::size_t t = 0; t < 5000; ++t) {
        xx += static_cast<double>(x.view().row(t)[i]) * x.view().row(t)[j];
        xy += static_cast<double>(x.view().row(t)[i]) * y.view().row(t)[j];
      }
      CHECK(a(i, j) == Approx(xx / 5000).margin(1e-6));
      CHECK(b(i, j) == Approx(xy / 5000).margin(1e-6));
    }
}
