// Vector kernels of the sums: the 16 virtual lanes lie in as many vectors of double as the target needs, so that each
// lane adds what it adds in the reference.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/statistics.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "formats/kernels/fold-inl.h"
#include "formats/kernels/held-inl.h"
#include "formats/kernels/statistics.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DD = hn::CappedTag<double, fixed_lanes<double>(8)>;
using DF = hn::Rebind<float, DD>;
using VD = hn::Vec<DD>;
using DW = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DW>;
using VI = hn::Vec<DI>;
constexpr std::size_t kWidth = hn::MaxLanes(DD());
constexpr std::size_t kVectors = kSumLanes / kWidth;

/// 16 lanes of one sum.
struct Lanes {
  Held<DD> v[kVectors];
  Lanes() {
    for (std::size_t k = 0; k < kVectors; ++k) v[k] = hn::Zero(DD());
  }
  HWY_INLINE void add(std::size_t k, VD value) { v[k] = hn::Add(VD(v[k]), value); }
  HWY_INLINE void raise(std::size_t k, VD value) { v[k] = hn::Max(VD(v[k]), value); }

  /// The lanes added pairwise: 8 apart, 4, 2, 1. A NaN is the canonical one.
  HWY_INLINE double total() const {
    Held<DD> sums[kVectors];
    for (std::size_t k = 0; k < kVectors; ++k) sums[k] = v[k];
    for (std::size_t half = kVectors / 2; half > 0; half /= 2)
      for (std::size_t k = 0; k < half; ++k) sums[k] = hn::Add(VD(sums[k]), VD(sums[k + half]));
    const double sum = fold(DD(), sums[0]);
    return std::isnan(sum) ? std::numeric_limits<double>::quiet_NaN() : sum;
  }
  HWY_INLINE double largest() const {
    alignas(64) double lanes[kSumLanes];
    for (std::size_t k = 0; k < kVectors; ++k) hn::Store(VD(v[k]), DD(), lanes + k * kWidth);
    return *std::max_element(lanes, lanes + kSumLanes);
  }
};

HWY_INLINE VD widen(const float* x) {
  return hn::PromoteTo(DD(), hn::LoadU(DF(), x));
}

/// Calls row(x, y) for each 16 values; the last ones are padded with zeros, which change no sum: no lane is ever -0.
/// One place of the call, so that sums stay in registers.
template <class Row>
HWY_INLINE void for_rows(const float* x, const float* y, std::size_t n, const Row& row) {
  float last_x[kSumLanes] = {}, last_y[kSumLanes] = {};
  for (std::size_t i = 0; i < n; i += kSumLanes) {
    const float *a = x + i, *b = y == nullptr ? nullptr : y + i;
    if (HWY_UNLIKELY(n - i < kSumLanes)) {
      std::memcpy(last_x, a, (n - i) * sizeof(float));
      if (b != nullptr) std::memcpy(last_y, b, (n - i) * sizeof(float));
      a = last_x;
      b = last_y;
    }
    row(a, b);
  }
}

HWY_INLINE VI magnitude(const float* x) {
  return hn::And(hn::BitCast(DI(), hn::LoadU(DW(), x)), hn::Set(DI(), 0x7fffffff));
}

/// Largest of 16 magnitudes as bits. `finite`: others count as 0.
template <bool kFinite>
HWY_INLINE VI row_maximum(const float* x, VI largest) {
  for (std::size_t i = 0; i < kSumLanes; i += hn::Lanes(DW())) {
    VI bits = magnitude(x + i);
    if constexpr (kFinite) bits = hn::IfThenElseZero(hn::Lt(bits, hn::Set(DI(), 0x7f800000)), bits);
    largest = hn::Max(largest, bits);
  }
  return largest;
}

/// float32 of the largest |error|. It is NaN exactly where the sum of squares is: squares cannot cancel.
float max_error(const Lanes& errors, double error2) {
  return std::isnan(error2) ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(errors.largest());
}

template <bool kError>
BlockSums sums_of(const float* x, const float* y, std::size_t n) {
  Lanes sum, sum2, sum3, sum4, error2, errors;
  VI largest = hn::Zero(DI());
  for_rows(x, y, n, [&](const float* a, const float* b) {
    largest = row_maximum<true>(a, largest);
    for (std::size_t k = 0; k < kVectors; ++k) {
      const VD v = widen(a + k * kWidth), v2 = hn::Mul(v, v);
      sum.add(k, v);
      sum2.add(k, v2);
      sum3.add(k, hn::Mul(v2, v));
      sum4.add(k, hn::Mul(v2, v2));
      if constexpr (kError) {
        const VD e = hn::Sub(v, widen(b + k * kWidth));
        error2.add(k, hn::Mul(e, e));
        errors.raise(k, hn::Abs(e));
      }
    }
  });
  BlockSums out;
  out.sum = sum.total();
  out.sum2 = sum2.total();
  out.sum3 = sum3.total();
  out.sum4 = sum4.total();
  out.error2 = error2.total();
  out.max_error = max_error(errors, out.error2);
  out.amax = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(DI(), largest)));
  out.count = n;
  return out;
}

BlockSums ChunkSums(const float* x, const float* y, std::size_t n) {
  return y == nullptr ? sums_of<false>(x, y, n) : sums_of<true>(x, y, n);
}

ErrorSums ChunkErrors(const float* x, const float* y, std::size_t n) {
  Lanes sum2, error2, errors;
  VI zeroed = hn::Zero(DI());
  const DW d;
  for_rows(x, y, n, [&](const float* a, const float* b) {
    for (std::size_t i = 0; i < kSumLanes; i += hn::Lanes(d)) {
      const auto zero = hn::Zero(d);
      const auto lost = hn::AndNot(hn::Eq(hn::LoadU(d, a + i), zero), hn::Eq(hn::LoadU(d, b + i), zero));
      zeroed = hn::Sub(zeroed, hn::VecFromMask(DI(), hn::RebindMask(DI(), lost)));
    }
    for (std::size_t k = 0; k < kVectors; ++k) {
      const VD v = widen(a + k * kWidth), e = hn::Sub(v, widen(b + k * kWidth));
      sum2.add(k, hn::Mul(v, v));
      error2.add(k, hn::Mul(e, e));
      errors.raise(k, hn::Abs(e));
    }
  });
  ErrorSums out;
  out.sum2 = sum2.total();
  out.error2 = error2.total();
  out.max_error = max_error(errors, out.error2);
  out.zeroed = static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(DI(), zeroed)));
  out.count = n;
  return out;
}

CentralSums ChunkCentralSums(const float* x, std::size_t n, double mean) {
  Lanes sum2, sum4;
  const VD centre = hn::Set(DD(), mean);
  const auto add = [&](std::size_t k, VD v) {
    const VD d = hn::Sub(v, centre), square = hn::Mul(d, d);
    sum2.add(k, square);
    sum4.add(k, hn::Mul(square, square));
  };
  const std::size_t whole = n / kSumLanes * kSumLanes;
  for (std::size_t i = 0; i < whole; i += kSumLanes)
    for (std::size_t k = 0; k < kVectors; ++k) add(k, widen(x + i + k * kWidth));
  if (whole < n) {  // padded with the mean, whose distance is 0
    alignas(64) double last[kSumLanes];
    for (std::size_t i = 0; i < kSumLanes; ++i) last[i] = whole + i < n ? static_cast<double>(x[whole + i]) : mean;
    for (std::size_t k = 0; k < kVectors; ++k) add(k, hn::Load(DD(), last + k * kWidth));
  }
  return {sum2.total(), sum4.total()};
}

void RunPartMaxima(const float* x, std::size_t n, float* amax, double* sum2) {
  std::size_t part = 0;
  for_rows(x, nullptr, n, [&](const float* a, const float*) {
    Lanes squares;
    for (std::size_t k = 0; k < kVectors; ++k) {
      const VD v = widen(a + k * kWidth);
      squares.v[k] = hn::Mul(v, v);
    }
    const VI largest = hn::Min(row_maximum<false>(a, hn::Zero(DI())), hn::Set(DI(), 0x7fc00000));
    amax[part] = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(DI(), largest)));
    sum2[part++] = squares.total();
  });
}

std::size_t RunCountBeyond(const float* x, std::size_t n, std::size_t group, const float* high, const float* low) {
  const DW d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t count = 0;
  for (std::size_t first = 0; first < n; first += group, ++high, ++low) {
    const std::size_t end = std::min(n, first + group);
    const auto above = hn::Set(d, *high), below = hn::Set(d, -*low);
    std::size_t i = first;
    for (; i + lanes <= end; i += lanes) {
      const auto v = hn::LoadU(d, x + i);
      count += hn::CountTrue(d, hn::Or(hn::Gt(v, above), hn::Lt(v, below)));
    }
    for (; i < end; ++i) count += x[i] > *high || x[i] < -*low;
  }
  return count;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {

HWY_EXPORT(ChunkSums);
HWY_EXPORT(ChunkErrors);
HWY_EXPORT(ChunkCentralSums);
HWY_EXPORT(RunPartMaxima);
HWY_EXPORT(RunCountBeyond);

BlockSums chunk_sums(const float* x, const float* y, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(ChunkSums)(x, y, n);
}
ErrorSums chunk_errors(const float* x, const float* y, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(ChunkErrors)(x, y, n);
}
CentralSums chunk_central_sums(const float* x, std::size_t n, double mean) {
  return HWY_DYNAMIC_DISPATCH(ChunkCentralSums)(x, n, mean);
}
void run_part_maxima(const float* x, std::size_t n, float* amax, double* sum2) {
  HWY_DYNAMIC_DISPATCH(RunPartMaxima)(x, n, amax, sum2);
}

std::size_t run_count_beyond(const float* x, std::size_t n, std::size_t group, const float* high, const float* low) {
  return HWY_DYNAMIC_DISPATCH(RunCountBeyond)(x, n, group, high, low);
}

}  // namespace lowbit::kernels
#endif
