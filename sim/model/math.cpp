#include "sim/model/math.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define LOWBIT_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4"), optimize("O3")))
#else
#define LOWBIT_CLONES
#endif

namespace lowbit::model {
namespace {

constexpr std::size_t kLanes = 16;

template <class T, std::size_t kCount>
T lane_sum(T (&lane)[kCount]) {
  for (std::size_t width = kCount / 2; width > 0; width /= 2)
    for (std::size_t i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

// e^x = 2^n e^r, n = round(x / ln 2); n is read from the low bits of x / ln 2 + 1.5 * 2^23; polynomial of Cephes' expf.
inline float exp_one(float x) {
  constexpr float kMagic = 12582912.0f;
  const float high = x > 88.3f ? 88.3f : x;
  const float z = (high < -87.0f ? -87.0f : high) * 1.44269504088896341f + kMagic;
  const float n = z - kMagic;
  const float r = ((high < -87.0f ? -87.0f : high) - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const auto bits = std::bit_cast<std::uint32_t>(p) + (std::bit_cast<std::uint32_t>(z) << 23);
  const float y = std::bit_cast<float>(bits);
  return x != x ? x : (x < -87.0f ? 0.0f : y);
}

}  // namespace

LOWBIT_CLONES void exp_values(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = exp_one(x[i]);
}

LOWBIT_CLONES double dot(const float* x, const float* y, std::size_t n) {
  double lane[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] += static_cast<double>(x[i + j]) * static_cast<double>(y[i + j]);
  for (std::size_t j = 0; i < n; ++i, ++j) lane[j] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return lane_sum(lane);
}

void row_products_ref(ConstRows w, const float* x, float* y) {
  for (std::size_t i = 0; i < w.rows; ++i) {
    float lane[kRowLanes] = {};
    for (std::size_t c = 0; c < w.columns; ++c) lane[c % kRowLanes] += w.row(i)[c] * x[c];
    y[i] = lane_sum(lane);
  }
}

void weighted_sums_ref(ConstRows weight, ConstRows v, Rows y) {
  for (std::size_t h = 0; h < y.rows; ++h)
    for (std::size_t c = 0; c < v.columns; ++c) {
      float sum = 0;
      for (std::size_t i = 0; i < v.rows; ++i) sum += weight.row(h)[i] * v.row(i)[c];
      y.row(h)[c] = sum;
    }
}

LOWBIT_CLONES static void scale_row(const float* x, const float* gain, float factor, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = gain[i] * (x[i] * factor);
}

void rms_norm(ConstRows x, const float* gain, double epsilon, Rows y) {
  for (std::size_t t = 0; t < x.rows; ++t) {
    const double mean = dot(x.row(t), x.row(t), x.columns) / static_cast<double>(x.columns);
    scale_row(x.row(t), gain, static_cast<float>(1 / std::sqrt(mean + epsilon)), y.row(t), x.columns);
  }
}

// With r = 1/sqrt(mean(x^2) + eps) and u = gain * dy: dx = r u - x r^3 (u . x) / C.
void rms_norm_backward(ConstRows x, const float* gain, double epsilon, ConstRows dy, Rows dx, bool add) {
  const double channels = static_cast<double>(x.columns);
  std::vector<float> u(x.columns);
  for (std::size_t t = 0; t < x.rows; ++t) {
    const float* row = x.row(t);
    for (std::size_t c = 0; c < x.columns; ++c) u[c] = gain[c] * dy.row(t)[c];
    const double r = 1 / std::sqrt(dot(row, row, x.columns) / channels + epsilon);
    const float a = static_cast<float>(r), b = static_cast<float>(r * r * r * dot(u.data(), row, x.columns) / channels);
    for (std::size_t c = 0; c < x.columns; ++c) {
      const float value = a * u[c] - b * row[c];
      dx.row(t)[c] = add ? dx.row(t)[c] + value : value;
    }
  }
}

LOWBIT_CLONES void silu_product(const float* gate, const float* up, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + exp_one(-gate[i])) * up[i];
}

LOWBIT_CLONES void silu_product_backward(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                                         std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i], d = dy[i];
    const float sigmoid = 1.0f / (1.0f + exp_one(-g));
    dup[i] = d * (g * sigmoid);
    dgate[i] = d * up[i] * (sigmoid * (1.0f + g * (1.0f - sigmoid)));
  }
}

LOWBIT_CLONES void rotate_halves(const float* cosine, const float* sine, bool inverse, float* a, float* b,
                                 std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float first = a[i], second = b[i], s = inverse ? -sine[i] : sine[i];
    a[i] = first * cosine[i] - second * s;
    b[i] = second * cosine[i] + first * s;
  }
}

LOWBIT_CLONES void add_to(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += x[i];
}

LOWBIT_CLONES void scale_values(float* y, float factor, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] *= factor;
}

LOWBIT_CLONES void softmax_row_backward(float* p, const float* dp, float mean, float scale, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) p[i] *= (dp[i] - mean) * scale;
}

// NaN never wins a comparison; it comes back through the exponentials of its row.
LOWBIT_CLONES static float row_maximum(const float* s, std::size_t n) {
  float lane[kLanes];
  for (float& value : lane) value = -std::numeric_limits<float>::infinity();
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] = s[i + j] > lane[j] ? s[i + j] : lane[j];
  for (std::size_t j = 0; i < n; ++i, ++j) lane[j] = s[i] > lane[j] ? s[i] : lane[j];
  float best = lane[0];
  for (const float value : lane) best = value > best ? value : best;
  return best;
}

LOWBIT_CLONES static void exp_shifted(const float* s, float scale, float maximum, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = exp_one(s[i] * scale - maximum);
}

// Adds n values to the lanes; n is a multiple of kLanes but for the last call.
LOWBIT_CLONES static void add_to_lanes(const float* s, double* lane, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] += static_cast<double>(s[i + j]);
  for (std::size_t j = 0; i < n; ++i, ++j) lane[j] += static_cast<double>(s[i]);
}

double exp_row(float* s, float scale, std::size_t n) {
  // rounding is monotone: the largest product is the product of the largest value
  const float maximum = row_maximum(s, n) * scale;
  exp_shifted(s, scale, maximum, s, n);
  double lane[kLanes] = {};
  add_to_lanes(s, lane, n);
  return lane_sum(lane);
}

SoftmaxStats softmax_stats(const float* s, std::size_t n) {
  constexpr std::size_t kPiece = 512;
  const float maximum = row_maximum(s, n);
  double lane[kLanes] = {};
  float y[kPiece];
  for (std::size_t i = 0; i < n; i += kPiece) {
    const std::size_t count = n - i < kPiece ? n - i : kPiece;
    exp_shifted(s + i, 1, maximum, y, count);
    add_to_lanes(y, lane, count);
  }
  return {maximum, lane_sum(lane)};
}

}  // namespace lowbit::model
