// The elementwise parts against double arithmetic and finite differences.
#include "sim/model/math.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/kernels/kernels.hpp"
#include "sim/model/product.hpp"
#include "sim/model/rope.hpp"
#include "sim/model/sgemm.hpp"
#include "sim/rng.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

std::vector<float> normals(std::size_t n, const char* stream) {
  Rng rng(5, stream);
  std::vector<float> out(n);
  for (float& value : out) value = static_cast<float>(rng.normal());
  return out;
}

TEST_CASE("the float32 exponential is within 1.5 ulp", "[model]") {
  std::vector<float> x;
  for (double v = -87; v <= 88.2; v += 0.00371) x.push_back(static_cast<float>(v));
  std::vector<float> y(x.size());
  exp_values(x.data(), y.data(), x.size());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    const float below = static_cast<float>(exact);
    worst = std::max(worst, std::abs(y[i] - exact) / (static_cast<double>(std::nextafter(below, HUGE_VALF)) - below));
  }
  CAPTURE(worst);
  CHECK(worst < 1.5);
  const float infinity = std::numeric_limits<float>::infinity();
  float special[] = {0.0f, -0.0f, -infinity, -88.0f, 100.0f, infinity, std::nanf("")};
  exp_values(special, special, 7);
  CHECK(special[0] == 1);
  CHECK(special[1] == 1);
  CHECK(special[2] == 0);
  CHECK(special[3] == 0);
  CHECK(special[4] == Approx(std::exp(88.3)).epsilon(1e-5));
  CHECK(special[5] == special[4]);
  CHECK(std::isnan(special[6]));
}

TEST_CASE("softmax rows carry their sum in double, for any length", "[model]") {
  for (std::size_t n = 1; n < 70; ++n) {
    const auto x = normals(n, "softmax");
    auto row = x;
    const double sum = exp_row(row.data(), 0.5f, n);
    const float maximum = *std::max_element(x.begin(), x.end()) * 0.5f;
    double expected = 0;
    for (std::size_t i = 0; i < n; ++i) {
      CHECK(row[i] == Approx(std::exp(0.5 * x[i] - maximum)).epsilon(1e-6));
      expected += row[i];
    }
    CHECK(sum == Approx(expected).epsilon(1e-12));
    const SoftmaxStats stats = softmax_stats(x.data(), n);
    CHECK(stats.maximum == *std::max_element(x.begin(), x.end()));
  }
  float poisoned[] = {1, std::nanf(""), 2};
  CHECK(std::isnan(exp_row(poisoned, 1, 3)));
}

TEST_CASE("norms and activations have the gradients of finite differences", "[model]") {
  const std::size_t n = 37;
  const auto x = normals(n, "x"), gain = normals(n, "gain"), up = normals(n, "up"), weight = normals(n, "weight");
  const auto norm_loss = [&](const std::vector<double>& v) {
    double square = 0, loss = 0;
    for (const double value : v) square += value * value;
    for (std::size_t i = 0; i < n; ++i) loss += weight[i] * gain[i] * v[i] / std::sqrt(square / n + 1e-3);
    return loss;
  };
  std::vector<float> y(n), dx(n, 1.0f);
  rms_norm({x.data(), 1, n}, gain.data(), 1e-3, {y.data(), 1, n});
  rms_norm_backward({x.data(), 1, n}, gain.data(), 1e-3, {weight.data(), 1, n}, {dx.data(), 1, n}, true);
  double direct = 0;
  for (std::size_t i = 0; i < n; ++i) direct += static_cast<double>(weight[i]) * y[i];
  std::vector<double> wide(x.begin(), x.end());
  CHECK(direct == Approx(norm_loss(wide)).epsilon(1e-5));
  std::vector<float> product(n), dgate(n), dup(n);
  silu_product(x.data(), up.data(), product.data(), n);
  silu_product_backward(x.data(), up.data(), weight.data(), dgate.data(), dup.data(), n);
  const auto silu = [](double g) { return g / (1 + std::exp(-g)); };
  for (std::size_t i = 0; i < n; ++i) {
    auto high = wide, low = wide;
    high[i] += 1e-6, low[i] -= 1e-6;
    CHECK(dx[i] - 1 == Approx((norm_loss(high) - norm_loss(low)) / 2e-6).margin(2e-5));
    CHECK(product[i] == Approx(silu(x[i]) * up[i]).margin(1e-6));
    CHECK(dgate[i] == Approx(weight[i] * up[i] * (silu(x[i] + 1e-6) - silu(x[i] - 1e-6)) / 2e-6).margin(1e-5));
    CHECK(dup[i] == Approx(weight[i] * silu(x[i])).margin(1e-6));
  }
}

TEST_CASE("sgemm equals sums in double, transposed or not, whatever lies between rows", "[model]") {
  for (const std::size_t inner : {0, 1, 33, 256})
    for (const std::size_t gap : {0, 3, 256})
      for (const bool a_transposed : {false, true})
        for (const bool b_transposed : {false, true})
          for (const Sum sum : {Sum::replace, Sum::add}) {
            const std::size_t m = 37, n = 19;
            const auto stored = [&](std::size_t rows, std::size_t columns, bool transposed) {
              return transposed ? std::pair(columns, rows) : std::pair(rows, columns);
            };
            const auto [a_rows, a_columns] = stored(m, inner, a_transposed);
            const auto [b_rows, b_columns] = stored(inner, n, b_transposed);
            const auto a = normals(a_rows * (a_columns + gap) + 1, "a"),
                       b = normals(b_rows * (b_columns + gap) + 1, "b");
            const std::vector<float> before = normals(m * (n + gap), "c");
            std::vector<float> c = before;
            const ConstRows a_rows_of(a.data(), a_rows, a_columns, a_columns + gap);
            const ConstRows b_rows_of(b.data(), b_rows, b_columns, b_columns + gap);
            sgemm(a_transposed ? transpose(a_rows_of) : a_rows_of, b_transposed ? transpose(b_rows_of) : b_rows_of,
                  Rows(c.data(), m, n, n + gap), sum);
            // a float32 sum in any order: Higham, Accuracy and Stability of Numerical Algorithms, section 3.1
            const double unit = std::ldexp(1.0, -24) * static_cast<double>(inner + 1);
            bool close = true, kept = true;
            for (std::size_t i = 0; i < m; ++i) {
              for (std::size_t j = 0; j < n; ++j) {
                double exact = sum == Sum::add ? before[i * (n + gap) + j] : 0, size = std::abs(exact);
                for (std::size_t k = 0; k < inner; ++k) {
                  const double term = static_cast<double>(a_transposed ? a_rows_of.row(k)[i] : a_rows_of.row(i)[k]) *
                                      (b_transposed ? b_rows_of.row(j)[k] : b_rows_of.row(k)[j]);
                  exact += term;
                  size += std::abs(term);
                }
                close = close && std::abs(c[i * (n + gap) + j] - exact) <= unit / (1 - unit) * size;
              }
              for (std::size_t j = n; j < n + gap; ++j)
                kept = kept && c[i * (n + gap) + j] == before[i * (n + gap) + j];
            }
            CAPTURE(inner, gap, a_transposed, b_transposed);
            CHECK(close);
            CHECK(kept);
          }
}

TEST_CASE("products equal sums in double on ragged tiles", "[model]") {
  for (const auto& [t, out, in] : {std::tuple{1, 150, 33}, std::tuple{1, 3000, 70}, std::tuple{130, 770, 20},
                                   std::tuple{5, 3, 200}, std::tuple{257, 1, 1}}) {
    Matrix x(t, in), w(out, in), y(t, out), dx(t, in), dw(out, in);
    const auto xs = normals(static_cast<std::size_t>(t * in), "a"),
               ws = normals(static_cast<std::size_t>(out * in), "b");
    const auto bias = normals(static_cast<std::size_t>(out), "c");
    std::copy(xs.begin(), xs.end(), x.data());
    std::copy(ws.begin(), ws.end(), w.data());
    multiply({x, w, y, bias.data()}, test_threads());
    double worst = 0;
    for (int i = 0; i < t; ++i)
      for (int o = 0; o < out; ++o)
        worst = std::max(worst, std::abs(bias[static_cast<std::size_t>(o)] + dot(x.view().row(i), w.view().row(o), in) -
                                         y.view().row(i)[o]));
    CHECK(worst < 1e-4);
    multiply_by_weight(y, w, dx, false, test_threads());
    multiply_transposed(y, x, dw, test_threads());
    // errors as shares of the sum of the terms' magnitudes, which bounds what rounding can do
    double dx_worst = 0, dw_worst = 0;
    for (int c = 0; c < in; ++c) {
      for (int i = 0; i < t; ++i) {
        double sum = 0, size = 0;
        for (int o = 0; o < out; ++o) {
          const double term = static_cast<double>(y.view().row(i)[o]) * w.view().row(o)[c];
          sum += term, size += std::abs(term);
        }
        dx_worst = std::max(dx_worst, std::abs(sum - dx.view().row(i)[c]) / size);
      }
      for (int o = 0; o < out; ++o) {
        double sum = 0, size = 0;
        for (int i = 0; i < t; ++i) {
          const double term = static_cast<double>(y.view().row(i)[o]) * x.view().row(i)[c];
          sum += term, size += std::abs(term);
        }
        dw_worst = std::max(dw_worst, std::abs(sum - dw.view().row(o)[c]) / size);
      }
    }
    CHECK(dx_worst < 1e-6);
    CHECK(dw_worst < 1e-6);
  }
}

TEST_CASE("the product of one token has the bits of its reference on every target", "[model]") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::string& target : kernels::targets()) {
    kernels::force_target(target);
    REQUIRE(kernels::target() == target);
    for (std::size_t columns = 0; columns < 140; ++columns) {
      const std::size_t rows = 1 + columns % 5, stride = columns + columns % 3;
      auto w = normals(rows * stride + 8, "w"), x = normals(columns + 8, "x");
      for (std::size_t i = 0; i < columns; i += 7) {
        constexpr float kTiny = 1e-42f;  // subnormal
        w[i] = i % 3 == 0 ? -0.0f : kTiny, x[i] = i % 2 == 0 ? -x[i] : 0.0f;
      }
      if (columns % 11 == 10) w[columns - 1] = infinity;
      if (columns % 13 == 12) w[columns / 2] = infinity, x[columns / 2] = 0;
      std::vector<float> fast(rows), slow(rows);
      const ConstRows view(w.data() + columns % 4, rows, columns, stride);
      row_products(view, x.data() + columns % 5, fast.data(), columns % 2 == 0 ? Reading::once : Reading::again);
      row_products_ref(view, x.data() + columns % 5, slow.data());
      for (std::size_t i = 0; i < rows; ++i) {
        CAPTURE(target, columns, i, fast[i], slow[i]);
        if (std::isnan(slow[i]))
          CHECK(std::isnan(fast[i]));
        else
          CHECK(std::bit_cast<std::uint32_t>(fast[i]) == std::bit_cast<std::uint32_t>(slow[i]));
      }
    }
  }
  kernels::force_target("");
}

TEST_CASE("weighted sums of several heads have the bits of one value after the other on every target", "[model]") {
  const std::size_t keys = 21;
  for (const std::string& target : kernels::targets()) {
    kernels::force_target(target);
    for (const std::size_t d : {0, 1, 8, 16, 24, 32, 48, 64, 80, 96, 128, 130})
      for (const std::size_t heads : {0, 1, 2, 3, 4, 5, 7, 8, 11})
        for (const std::size_t gap : {0, 3}) {  // between rows
          const std::size_t stride = d + gap, across = keys + gap;
          auto v = normals(keys * stride + 8, "v"), weight = normals(heads * across + 1, "w");
          v[0] = -0.0f, v[5] = 1e-42f, weight[0] = -0.0f;
          if (d == 96) v[7] = std::numeric_limits<float>::infinity();
          const ConstRows rows(v.data(), keys, d, stride), weights(weight.data(), heads, keys, across);
          std::vector<float> fast(heads * stride, 7.0f), slow(heads * stride, 7.0f);
          weighted_sums(weights, rows, Rows(fast.data(), heads, d, stride));
          weighted_sums_ref(weights, rows, Rows(slow.data(), heads, d, stride));
          CAPTURE(target, d, heads, gap);
          CHECK(std::equal(fast.begin(), fast.end(), slow.begin(), [](float a, float b) {
            return (std::isnan(a) && std::isnan(b)) ||
                   std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
          }));
          weighted_sums(weights.part(0, 0), rows.slice(0, 0), Rows(fast.data(), heads, d, stride));
          for (std::size_t h = 0; h < heads && d > 0; ++h) CHECK(fast[h * stride + d - 1] == 0);
        }
  }
  kernels::force_target("");
}

TEST_CASE("the product of one token has the same bits on any number of threads", "[model]") {
  Matrix x(1, 96), w(2000, 96), one(1, 2000), three(1, 2000);
  const auto xs = normals(96, "x"), ws = normals(2000 * 96, "w");
  std::copy(xs.begin(), xs.end(), x.data());
  std::copy(ws.begin(), ws.end(), w.data());
  Threads alone(1), several(3);
  multiply({x, w, one}, alone);
  multiply({x, w, three}, several);
  CHECK(std::equal(one.data(), one.data() + 2000, three.data()));
}

TEST_CASE("products of one token in one loop have the bits of their references, however rows are shared", "[model]") {
  const std::size_t columns = 70;
  const auto x = normals(columns, "x"), bias = normals(1200, "bias");
  const std::vector<std::vector<std::size_t>> groups = {{1}, {0, 3}, {700, 1, 1, 500}, {2, 0, 1200}, {90, 30, 30}};
  for (const auto& rows : groups)
    for (const std::size_t count : {1, 2, 3, 7}) {
      Threads threads(count);
      std::vector<Matrix> w, y;
      std::vector<ConstRows> weights;
      std::vector<Product> products;
      for (const std::size_t n : rows) {
        w.emplace_back(n, columns);
        const auto values = normals(n * columns, "w");
        std::copy(values.begin(), values.end(), w.back().data());
        y.emplace_back(1, n);
      }
      for (std::size_t i = 0; i < rows.size(); ++i) {
        weights.push_back(w[i]);
        products.push_back({{x.data(), 1, columns}, w[i], y[i], i % 2 == 0 ? bias.data() : nullptr});
      }
      expect_vectors(weights, threads);
      multiply(products, threads);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        std::vector<float> expected(rows[i]);
        row_products_ref(w[i], x.data(), expected.data());
        for (std::size_t r = 0; i % 2 == 0 && r < rows[i]; ++r) expected[r] += bias[r];
        CHECK(std::equal(expected.begin(), expected.end(), y[i].data()));
      }
    }
}

TEST_CASE("the rotary embedding turns pairs, keeps lengths and comes back", "[model]") {
  Config config;
  config.head_dim = 8;
  config.rope_theta = 100;
  const Rope rope(config);
  CHECK(rope.frequencies()[1] == Approx(std::pow(100.0, -2.0 / 8)));
  const std::int64_t positions[] = {0, 3, 1000};
  const Matrix table = rope.table(positions, 3);
  Matrix x(3, 16);
  const auto values = normals(48, "rope");
  std::copy(values.begin(), values.end(), x.data());
  Rope::apply(x, table);
  CHECK(std::equal(values.begin(), values.begin() + 16, x.data()));
  const double angle = 3 * std::pow(100.0, -4.0 / 8);  // pair 2 of head 1 at position 3
  CHECK(x.view().row(1)[8 + 2] ==
        Approx(values[16 + 10] * std::cos(angle) - values[16 + 14] * std::sin(angle)).margin(1e-6));
  Rope::apply(x, table, true);
  for (std::size_t i = 0; i < 48; ++i) CHECK(x.data()[i] == Approx(values[i]).margin(1e-6));
}

}  // namespace
}  // namespace lowbit::test
