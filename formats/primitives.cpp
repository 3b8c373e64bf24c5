#include "formats/primitives.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "formats/random.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kChunk = 4096;

/// One chunk of block_sums_ref: 16 lanes of each sum.
struct LaneSums {
  std::array<double, kLanes> sum{}, sum2{}, sum3{}, sum4{}, error2{};
};

double add_lanes(std::array<double, kLanes>& lanes) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

BlockSums chunk_sums(const float* x, const float* y, std::size_t n) {
  LaneSums lanes;
  BlockSums out;
  out.count = n;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t lane = i % kLanes;
    const double v = x[i];
    const double v2 = v * v;
    lanes.sum[lane] += v;
    lanes.sum2[lane] += v2;
    lanes.sum3[lane] += v2 * v;
    lanes.sum4[lane] += v2 * v2;
    if (std::isfinite(x[i])) out.amax = std::max(out.amax, std::fabs(x[i]));
    if (y == nullptr) continue;
    const double error = v - static_cast<double>(y[i]);
    lanes.error2[lane] += error * error;
    const float magnitude = static_cast<float>(std::fabs(error));
    if (!(magnitude <= out.max_error) && !std::isnan(out.max_error)) out.max_error = magnitude;
  }
  out.sum = add_lanes(lanes.sum);
  out.sum2 = add_lanes(lanes.sum2);
  out.sum3 = add_lanes(lanes.sum3);
  out.sum4 = add_lanes(lanes.sum4);
  out.error2 = add_lanes(lanes.error2);
  return out;
}

}  // namespace

float amax_ref(const float* x, std::size_t n) {
  float amax = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return std::numeric_limits<float>::quiet_NaN();
    amax = std::max(amax, std::fabs(x[i]));
  }
  return amax;
}

void random_signs(float* signs, std::size_t n, std::uint64_t seed, std::uint64_t stream) {
  for (std::size_t i = 0; i < n; ++i) signs[i] = random_word(seed, stream, i) >> 31 ? -1.0f : 1.0f;
}

void BlockSums::add(const BlockSums& later) {
  sum += later.sum;
  sum2 += later.sum2;
  sum3 += later.sum3;
  sum4 += later.sum4;
  error2 += later.error2;
  amax = std::max(amax, later.amax);
  if (!(later.max_error <= max_error) && !std::isnan(max_error)) max_error = later.max_error;
  count += later.count;
}

BlockSums block_sums_ref(const float* x, const float* y, std::size_t n) {
  BlockSums total;
  for (std::size_t start = 0; start < n; start += kChunk)
    total.add(chunk_sums(x + start, y == nullptr ? nullptr : y + start, std::min(kChunk, n - start)));
  return total;
}

}  // namespace lowbit
