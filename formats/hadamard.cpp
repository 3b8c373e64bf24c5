// Hadamard matrices of order m * 2^k and the transform by them.
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#include "formats/kernels/kernels.hpp"
#include "formats/primitives.hpp"

namespace lowbit {
namespace {

/// Legendre symbol of a modulo the odd prime q: 0, 1 or -1.
int legendre(int a, int q) {
  a = (a % q + q) % q;
  if (a == 0) return 0;
  for (int i = 1; i <= q / 2; ++i)
    if (i * i % q == a) return 1;
  return -1;
}

/// Jacobsthal matrix bordered as a (skew for q = 3 mod 4, else symmetric) conference matrix of order q + 1.
std::vector<int> conference(int q) {
  const int n = q + 1;
  const int column_sign = q % 4 == 3 ? -1 : 1;
  std::vector<int> c(static_cast<std::size_t>(n * n), 0);
  for (int j = 1; j < n; ++j) {
    c[j] = 1;
    c[j * n] = column_sign;
    for (int i = 1; i < n; ++i) c[i * n + j] = legendre(j - i, q);
  }
  return c;
}

/// Paley I, q = 3 mod 4: H = I + S, order q + 1.
std::vector<int> paley_one(int q) {
  std::vector<int> h = conference(q);
  for (int i = 0; i <= q; ++i) h[i * (q + 1) + i] += 1;
  return h;
}

/// Paley II, q = 1 mod 4: H = C (x) [[1, 1], [1, -1]] + I (x) [[1, -1], [-1, -1]], order 2 (q + 1), symmetric.
std::vector<int> paley_two(int q) {
  constexpr int kOff[2][2] = {{1, 1}, {1, -1}};
  constexpr int kDiagonal[2][2] = {{1, -1}, {-1, -1}};
  const std::vector<int> c = conference(q);
  const int n = q + 1;
  std::vector<int> h(static_cast<std::size_t>(4 * n * n));
  for (int i = 0; i < 2 * n; ++i)
    for (int j = 0; j < 2 * n; ++j) {
      const int off = c[i / 2 * n + j / 2] * kOff[i % 2][j % 2];
      h[i * 2 * n + j] = off + (i / 2 == j / 2 ? kDiagonal[i % 2][j % 2] : 0);
    }
  return h;
}

void butterfly(float* x, std::size_t n) {
  for (std::size_t h = 1; h < n; h *= 2)
    for (std::size_t i = 0; i < n; i += 2 * h)
      for (std::size_t j = i; j < i + h; ++j) {
        const float a = x[j], b = x[j + h];
        x[j] = a + b;
        x[j + h] = a - b;
      }
}

/// out[c, :] = sum over r, in order, of x[r, :] * (inverse ? H[c][r] : H[r][c]).
void outer_product(const std::vector<int>& h, std::size_t m, std::size_t inner, bool inverse, const float* x,
                   float* out) {
  for (std::size_t c = 0; c < m; ++c)
    for (std::size_t i = 0; i < inner; ++i) {
      float sum = 0;
      for (std::size_t r = 0; r < m; ++r) {
        const float v = x[r * inner + i];
        const bool plus = (inverse ? h[c * m + r] : h[r * m + c]) > 0;
        sum = r == 0 ? (plus ? v : -v) : (plus ? sum + v : sum - v);
      }
      out[c * inner + i] = sum;
    }
}

}  // namespace

const std::vector<int>& hadamard_factor(std::size_t m) {
  static const std::vector<int> k1{1}, k12 = paley_one(11), k20 = paley_one(19), k28 = paley_two(13),
                                       k36 = paley_two(17);
  assert(m == 1 || m == 12 || m == 20 || m == 28 || m == 36);
  return m == 12 ? k12 : m == 20 ? k20 : m == 28 ? k28 : m == 36 ? k36 : k1;
}

std::size_t hadamard_outer_factor(std::size_t n) {
  if (n == 0) return 0;
  std::size_t odd = n;  // the odd part decides
  while (odd % 2 == 0) odd /= 2;
  if (odd == 1) return 1;
  return odd <= 9 && n % 4 == 0 ? 4 * odd : 0;
}

bool hadamard_order_exists(std::size_t n) {
  return hadamard_outer_factor(n) != 0;
}

float hadamard_norm(std::size_t n) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(n)));
}

void hadamard_ref(const float* x, float* y, std::size_t n, std::size_t blocks, const float* signs, bool inverse) {
  const std::size_t m = hadamard_outer_factor(n);
  assert(m != 0);
  const std::size_t inner = n / m;
  const std::vector<int>& factor = hadamard_factor(m);
  const float norm = hadamard_norm(n);
  std::vector<float> work(n), product(m == 1 ? 0 : n);
  for (std::size_t block = 0; block < blocks; ++block, x += n, y += n) {
    for (std::size_t i = 0; i < n; ++i) work[i] = signs != nullptr && !inverse ? x[i] * signs[i] : x[i];
    for (std::size_t r = 0; r < m; ++r) butterfly(work.data() + r * inner, inner);
    if (m != 1) outer_product(factor, m, inner, inverse, work.data(), product.data());
    const float* sums = m == 1 ? work.data() : product.data();
    for (std::size_t i = 0; i < n; ++i) y[i] = sums[i] * norm;
    if (signs != nullptr && inverse)
      for (std::size_t i = 0; i < n; ++i) y[i] *= signs[i];
    for (std::size_t i = 0; i < n; ++i) y[i] = std::isnan(y[i]) ? std::numeric_limits<float>::quiet_NaN() : y[i];
  }
}

void hadamard(const float* x, float* y, std::size_t n, std::size_t blocks, const float* signs, bool inverse) {
  if (!kernels::hadamard(x, y, n, blocks, signs, inverse)) hadamard_ref(x, y, n, blocks, signs, inverse);
}

}  // namespace lowbit
