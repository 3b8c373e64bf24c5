// Sums and maxima in their defined order: the scalar reference, and the choice between it and the kernels.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/kernels/kernels.hpp"
#include "formats/kernels/statistics.hpp"
#include "formats/primitives.hpp"

namespace lowbit {
namespace {

using Lanes = std::array<double, kSumLanes>;

/// Which of two NaNs a sum keeps depends on the machine.
double canonical(double sum) {
  return std::isnan(sum) ? std::numeric_limits<double>::quiet_NaN() : sum;
}

double add_lanes(Lanes& lanes) {
  for (std::size_t half = kSumLanes / 2; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return canonical(lanes[0]);
}

/// The larger of two maxima of errors; NaN stays.
float larger(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<float>::quiet_NaN();
  return std::max(a, b);
}

BlockSums chunk_sums_ref(const float* x, const float* y, std::size_t n) {
  Lanes sum{}, sum2{}, sum3{}, sum4{}, error2{};
  BlockSums out;
  out.count = n;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t lane = i % kSumLanes;
    const double v = x[i];
    const double v2 = v * v;
    sum[lane] += v;
    sum2[lane] += v2;
    sum3[lane] += v2 * v;
    sum4[lane] += v2 * v2;
    if (std::isfinite(x[i])) out.amax = std::max(out.amax, std::fabs(x[i]));
    if (y == nullptr) continue;
    const double error = v - static_cast<double>(y[i]);
    error2[lane] += error * error;
    out.max_error = larger(out.max_error, static_cast<float>(std::fabs(error)));
  }
  out.sum = add_lanes(sum);
  out.sum2 = add_lanes(sum2);
  out.sum3 = add_lanes(sum3);
  out.sum4 = add_lanes(sum4);
  out.error2 = add_lanes(error2);
  return out;
}

ErrorSums chunk_errors_ref(const float* x, const float* y, std::size_t n) {
  Lanes sum2{}, error2{};
  ErrorSums out;
  out.count = n;
  for (std::size_t i = 0; i < n; ++i) {
    const double v = x[i], error = v - static_cast<double>(y[i]);
    sum2[i % kSumLanes] += v * v;
    error2[i % kSumLanes] += error * error;
    out.max_error = larger(out.max_error, static_cast<float>(std::fabs(error)));
    out.zeroed += x[i] != 0 && y[i] == 0;
  }
  out.sum2 = add_lanes(sum2);
  out.error2 = add_lanes(error2);
  return out;
}

CentralSums chunk_central_ref(const float* x, std::size_t n, double mean) {
  Lanes sum2{}, sum4{};
  for (std::size_t i = 0; i < n; ++i) {
    const double square = (x[i] - mean) * (x[i] - mean);
    sum2[i % kSumLanes] += square;
    sum4[i % kSumLanes] += square * square;
  }
  return {add_lanes(sum2), add_lanes(sum4)};
}

/// The sum over the chunks of n values of chunk(first, count).
template <class Sums, class Chunk>
Sums add_chunks(std::size_t n, Chunk chunk) {
  Sums total;
  for (std::size_t first = 0; first < n; first += kSumChunk) total.add(chunk(first, std::min(kSumChunk, n - first)));
  return total;
}

const float* at(const float* y, std::size_t first) {
  return y == nullptr ? nullptr : y + first;
}

bool has_kernels() {
  return kernels::target() != "ref";
}

}  // namespace

void BlockSums::add(const BlockSums& later) {
  sum = canonical(sum + later.sum);
  sum2 = canonical(sum2 + later.sum2);
  sum3 = canonical(sum3 + later.sum3);
  sum4 = canonical(sum4 + later.sum4);
  error2 = canonical(error2 + later.error2);
  amax = std::max(amax, later.amax);
  max_error = larger(max_error, later.max_error);
  count += later.count;
}

void ErrorSums::add(const ErrorSums& later) {
  sum2 = canonical(sum2 + later.sum2);
  error2 = canonical(error2 + later.error2);
  max_error = larger(max_error, later.max_error);
  zeroed += later.zeroed;
  count += later.count;
}

void CentralSums::add(const CentralSums& later) {
  sum2 = canonical(sum2 + later.sum2);
  sum4 = canonical(sum4 + later.sum4);
}

BlockSums block_sums_ref(const float* x, const float* y, std::size_t n) {
  return add_chunks<BlockSums>(
      n, [&](std::size_t first, std::size_t count) { return chunk_sums_ref(x + first, at(y, first), count); });
}

ErrorSums error_sums_ref(const float* x, const float* y, std::size_t n) {
  return add_chunks<ErrorSums>(
      n, [&](std::size_t first, std::size_t count) { return chunk_errors_ref(x + first, y + first, count); });
}

CentralSums central_sums_ref(const float* x, std::size_t n, double mean) {
  return add_chunks<CentralSums>(
      n, [&](std::size_t first, std::size_t count) { return chunk_central_ref(x + first, count, mean); });
}

void part_maxima_ref(const float* x, std::size_t n, float* amax, double* sum2) {
  for (std::size_t first = 0; first < n; first += kSumLanes, ++amax, ++sum2) {
    Lanes squares{};
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < std::min(kSumLanes, n - first); ++i) {
      const double v = x[first + i];
      squares[i] = v * v;
      largest = std::max(largest, std::bit_cast<std::uint32_t>(x[first + i]) & 0x7FFFFFFFu);
    }
    *amax = std::bit_cast<float>(std::min(largest, 0x7FC00000u));
    *sum2 = add_lanes(squares);
  }
}

std::size_t count_beyond_ref(const float* x, std::size_t n, std::size_t group, const float* high, const float* low) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i) count += x[i] > high[i / group] || x[i] < -low[i / group];
  return count;
}

BlockSums block_sums(const float* x, const float* y, std::size_t n) {
  if (!has_kernels()) return block_sums_ref(x, y, n);
  const kernels::DefaultRounding state;
  return add_chunks<BlockSums>(
      n, [&](std::size_t first, std::size_t count) { return kernels::chunk_sums(x + first, at(y, first), count); });
}

ErrorSums error_sums(const float* x, const float* y, std::size_t n) {
  if (!has_kernels()) return error_sums_ref(x, y, n);
  const kernels::DefaultRounding state;
  return add_chunks<ErrorSums>(
      n, [&](std::size_t first, std::size_t count) { return kernels::chunk_errors(x + first, y + first, count); });
}

CentralSums central_sums(const float* x, std::size_t n, double mean) {
  if (!has_kernels()) return central_sums_ref(x, n, mean);
  const kernels::DefaultRounding state;
  return add_chunks<CentralSums>(
      n, [&](std::size_t first, std::size_t count) { return kernels::chunk_central_sums(x + first, count, mean); });
}

void part_maxima(const float* x, std::size_t n, float* amax, double* sum2) {
  if (!has_kernels()) return part_maxima_ref(x, n, amax, sum2);
  const kernels::DefaultRounding state;
  kernels::run_part_maxima(x, n, amax, sum2);
}

std::size_t count_beyond(const float* x, std::size_t n, std::size_t group, const float* high, const float* low) {
  if (!has_kernels()) return count_beyond_ref(x, n, group, high, low);
  const kernels::DefaultRounding state;
  return kernels::run_count_beyond(x, n, group, high, low);
}

}  // namespace lowbit
