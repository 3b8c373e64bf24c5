#include "sim/transform/orthogonal.hpp"

#include <cmath>

#include "sim/transform/dense.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

TEST_CASE("principal directions are orthonormal eigenvectors, largest first", "[transform]") {
  constexpr std::size_t n = 24;
  Rng rng(3);
  std::vector<double> rows(60 * n), matrix(n * n);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = rng.normal() * (1 + static_cast<double>(i % n));
  for (std::size_t t = 0; t < 60; ++t)
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) matrix[i * n + j] += rows[t * n + i] * rows[t * n + j];
  const auto v = principal_directions(matrix, n);
  double last = INFINITY;
  for (std::size_t j = 0; j < n; ++j) {
    double value = 0;
    for (std::size_t k = 0; k < n; ++k) {  // |v| = 1, orthogonal to the others
      double product = 0;
      for (std::size_t i = 0; i < n; ++i) product += v[i * n + j] * v[i * n + k];
      CHECK(product == Approx(j == k ? 1.0 : 0.0).margin(1e-12));
    }
    std::vector<double> image(n);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < n; ++k) image[i] += matrix[i * n + k] * v[k * n + j];
    for (std::size_t i = 0; i < n; ++i) value += image[i] * v[i * n + j];
    for (std::size_t i = 0; i < n; ++i) CHECK(image[i] == Approx(value * v[i * n + j]).margin(1e-8 * matrix[0]));
    CHECK(value <= last * (1 + 1e-12));
    last = value;
  }
}

TEST_CASE("random orthogonal matrices are orthogonal, and their transform undoes itself", "[transform]") {
  for (const std::size_t n : {1ul, 2ul, 8ul, 56ul}) {
    Rng rng(9);
    const auto m = random_orthogonal(n, rng);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        double product = 0;
        for (std::size_t k = 0; k < n; ++k) product += m[i * n + k] * m[j * n + k];
        CHECK(product == Approx(i == j ? 1.0 : 0.0).margin(1e-12));
      }
    const DenseTransform transform("test", n, m);
    std::vector<float> x(3 * n), y(3 * n), z(3 * n);
    for (float& v : x) v = static_cast<float>(rng.normal());
    transform.forward(x.data(), y.data(), 3);
    transform.inverse(y.data(), z.data(), 3);
    for (std::size_t i = 0; i < 3 * n; ++i) CHECK(z[i] == Approx(x[i]).margin(1e-5));
    double first = 0;  // y = x M
    for (std::size_t k = 0; k < n; ++k) first += x[k] * m[k * n];
    CHECK(y[0] == Approx(first).margin(1e-5));
  }
}
