#include "sim/transform/orthogonal.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lowbit {
namespace {

// Rotates rows and columns p, q of the symmetric a so that a_pq = 0, and columns p, q of v.
void rotate(std::vector<double>& a, std::vector<double>& v, std::size_t n, std::size_t p, std::size_t q) {
  const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
  const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
  const double c = 1 / std::sqrt(t * t + 1), s = t * c;
  for (std::size_t k = 0; k < n; ++k) {
    const double x = a[k * n + p], y = a[k * n + q];
    a[k * n + p] = c * x - s * y;
    a[k * n + q] = s * x + c * y;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const double x = a[p * n + k], y = a[q * n + k];
    a[p * n + k] = c * x - s * y;
    a[q * n + k] = s * x + c * y;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const double x = v[k * n + p], y = v[k * n + q];
    v[k * n + p] = c * x - s * y;
    v[k * n + q] = s * x + c * y;
  }
}

double off_diagonal(const std::vector<double>& a, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) sum += i == j ? 0 : a[i * n + j] * a[i * n + j];
  return std::sqrt(sum);
}

}  // namespace

std::vector<double> principal_directions(std::vector<double> a, std::size_t n) {
  constexpr int kSweeps = 60;
  std::vector<double> v(n * n);
  for (std::size_t i = 0; i < n; ++i) v[i * n + i] = 1;
  double norm = off_diagonal(a, n);
  for (std::size_t i = 0; i < n; ++i) norm += std::abs(a[i * n + i]);
  for (int sweep = 0; sweep < kSweeps && off_diagonal(a, n) > 1e-14 * norm; ++sweep)
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q)
        if (a[p * n + q] != 0) rotate(a, v, n, p, q);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return a[i * n + i] > a[j * n + j]; });
  std::vector<double> out(n * n);
  for (std::size_t j = 0; j < n; ++j) {
    std::size_t largest = 0;
    for (std::size_t i = 0; i < n; ++i)
      if (std::abs(v[i * n + order[j]]) > std::abs(v[largest * n + order[j]])) largest = i;
    const double sign = v[largest * n + order[j]] < 0 ? -1 : 1;
    for (std::size_t i = 0; i < n; ++i) out[i * n + j] = sign * v[i * n + order[j]];
  }
  return out;
}

std::vector<double> random_orthogonal(std::size_t n, Rng& rng) {
  std::vector<double> m(n * n);
  for (double& x : m) x = rng.normal();
  for (std::size_t i = 0; i < n; ++i)
    for (int round = 0; round < 2; ++round) {
      double* row = m.data() + i * n;
      for (std::size_t j = 0; j < i; ++j) {
        const double* other = m.data() + j * n;
        const double product = std::inner_product(row, row + n, other, 0.0);
        for (std::size_t k = 0; k < n; ++k) row[k] -= product * other[k];
      }
      const double norm = std::sqrt(std::inner_product(row, row + n, row, 0.0));
      for (std::size_t k = 0; k < n; ++k) row[k] /= norm;
    }
  return m;
}

}  // namespace lowbit
