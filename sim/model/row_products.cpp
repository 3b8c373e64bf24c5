// What a single token reads: weights, keys and values, so that only memory should limit it. The 32 lanes of a product
// lie in as many vectors as the target needs, and each adds what it adds in the reference. (Compilers fold an array of
// lanes through memory, at a third of this speed.)
#include "sim/model/math.hpp"

#ifndef LOWBIT_HAVE_HIGHWAY

namespace lowbit::model {
void row_products(ConstRows w, const float* x, float* y, Reading) {
  row_products_ref(w, x, y);
}
void weighted_sums(ConstRows weight, ConstRows v, Rows y) {
  weighted_sums_ref(weight, v, y);
}
}  // namespace lowbit::model

#else

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/model/row_products.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "formats/kernels/fold-inl.h"
#include "formats/kernels/held-inl.h"
#include "formats/kernels/kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::model {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, kernels::HWY_NAMESPACE::fixed_lanes<float>(16)>;
using V = hn::Vec<D>;
using Held = kernels::HWY_NAMESPACE::Held<D>;
constexpr std::size_t kWidth = hn::MaxLanes(D()), kVectors = kRowLanes / kWidth;
// What lies at least so many values ahead, in whole rows, is asked for from memory, beyond the last row too.
constexpr std::size_t kAhead = 1024, kLine = 16;

struct Lanes {
  Held sum[kVectors];
  HWY_INLINE Lanes() {
    for (std::size_t k = 0; k < kVectors; ++k) sum[k] = hn::Zero(D());
  }
  // Asks for the lines at w + ahead, one after each line that it reads. Two requests side by side cost Intel's servers
  // a fifth of the speed: the compiler must leave them where they are.
  template <int kLocality>
  HWY_INLINE void add(const float* w, const float* x, std::size_t ahead) {
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kVectors; ++k) {
      add_vector(w, x, k);
      if (const std::size_t end = (k + 1) * kWidth; end % kLine == 0) {
        asm volatile("" ::: "memory");
        __builtin_prefetch(w + ahead + end - kLine, 0, kLocality);
        asm volatile("" ::: "memory");
      }
    }
  }
  HWY_INLINE void add(const float* w, const float* x) {
    for (std::size_t k = 0; k < kVectors; ++k) add_vector(w, x, k);
  }
  HWY_INLINE void add_vector(const float* w, const float* x, std::size_t k) {
    const D d;
    sum[k] = hn::Add(V(sum[k]), hn::Mul(hn::LoadU(d, w + k * kWidth), hn::LoadU(d, x + k * kWidth)));
  }
  HWY_INLINE float total() {
    for (std::size_t half = kVectors / 2; half > 0; half /= 2)
      for (std::size_t k = 0; k < half; ++k) sum[k] = hn::Add(V(sum[k]), V(sum[k + half]));
    return kernels::HWY_NAMESPACE::fold(D(), sum[0]);
  }
};

// x and zeros up to whole lanes, aligned: loads that straddle cache lines, on both sides, cost a fourth of the speed.
const float* aligned_copy(const float* x, std::size_t n, std::size_t room) {
  static thread_local std::vector<float> copy;
  copy.resize(std::max(copy.size(), room + kLine));
  float* begin = copy.data() + (64 - reinterpret_cast<std::uintptr_t>(copy.data()) % 64) % 64 / sizeof(float);
  std::fill(std::copy_n(x, n, begin), begin + room, 0.0f);
  return begin;
}

template <int kLocality>
void RowProductsOf(ConstRows w, const float* x, float* y) {
  const std::size_t whole = w.columns / kRowLanes * kRowLanes, rest = w.columns - whole;
  if (rest > 0 || reinterpret_cast<std::uintptr_t>(x) % 64 != 0) x = aligned_copy(x, w.columns, whole + kRowLanes);
  // zeros beyond the end change no sum: no lane is ever -0
  alignas(64) float last_w[kRowLanes] = {};
  const std::size_t ahead = (kAhead / std::max<std::size_t>(1, w.columns) + 1) * w.stride;
  for (std::size_t i = 0; i < w.rows; ++i) {
    const float* row = w.row(i);
    Lanes lanes;
    for (std::size_t c = 0; c < whole; c += kRowLanes) lanes.add<kLocality>(row + c, x + c, ahead);
    if (rest > 0) {
      std::copy_n(row + whole, rest, last_w);
      lanes.add(last_w, x + whole);
    }
    y[i] = lanes.total();
  }
}

// What is read once need not come nearer than the second cache (3 % faster on Intel's servers), or pass by it: AMD's
// processors are 4 to 8 % faster so, Intel's servers take three times as long.
bool past_second_cache() {
#if defined(__x86_64__)
  static const bool amd = __builtin_cpu_is("amd");
  return amd;
#else
  return false;
#endif
}

void RowProducts(ConstRows w, const float* x, float* y, Reading reading) {
  if (reading == Reading::again)
    RowProductsOf<3>(w, x, y);
  else if (past_second_cache())
    RowProductsOf<0>(w, x, y);
  else
    RowProductsOf<2>(w, x, y);
}

// Rows of y that are summed together: as many as registers hold sums of kColumns for.
constexpr std::size_t kTogether = kWidth >= 16 ? 4 : 3;

// Columns from c on, kParts vectors at a time, as long as there are so many; returns where it ends. Each sum in the
// order of the rows, as in the reference. (Unrolled, since an array of vectors that a loop indexes stays in memory.)
template <std::size_t kCount, std::size_t kParts>
std::size_t SumColumns(ConstRows weight, ConstRows v, Rows y, std::size_t c) {
  constexpr std::size_t kColumns = kParts * kWidth, kRowsAhead = 16;
  const D d;
  for (; c + kColumns <= v.columns; c += kColumns) {
    Held sum[kCount][kParts];
#pragma GCC unroll 4
    for (std::size_t h = 0; h < kCount; ++h)
#pragma GCC unroll 4
      for (std::size_t k = 0; k < kParts; ++k) sum[h][k] = hn::Zero(d);
    for (std::size_t i = 0; i < v.rows; ++i) {
      const float* row = v.row(i) + c;
      for (std::size_t k = 0; k < kColumns; k += kLine) __builtin_prefetch(row + kRowsAhead * v.stride + k);
#pragma GCC unroll 4
      for (std::size_t k = 0; k < kParts; ++k) {
        const V value = hn::LoadU(d, row + k * kWidth);
#pragma GCC unroll 4
        for (std::size_t h = 0; h < kCount; ++h)
          sum[h][k] = hn::Add(V(sum[h][k]), hn::Mul(hn::Set(d, weight.row(h)[i]), value));
      }
    }
#pragma GCC unroll 4
    for (std::size_t h = 0; h < kCount; ++h)
#pragma GCC unroll 4
      for (std::size_t k = 0; k < kParts; ++k) hn::StoreU(V(sum[h][k]), d, y.row(h) + c + k * kWidth);
  }
  return c;
}

template <std::size_t kCount>
void WeightedSumsOf(ConstRows weight, ConstRows v, Rows y) {
  const std::size_t c = SumColumns<kCount, 1>(weight, v, y, SumColumns<kCount, 4>(weight, v, y, 0));
  weighted_sums_ref(weight, v.part(c, v.columns - c), y.part(c, v.columns - c));
}

void WeightedSums(ConstRows weight, ConstRows v, Rows y) {
  for (std::size_t h = 0; h < y.rows; h += kTogether) {
    const std::size_t count = std::min(kTogether, y.rows - h);
    const ConstRows part = weight.slice(h, count);
    const Rows out = y.slice(h, count);
    if (count == 1) WeightedSumsOf<1>(part, v, out);
    if (count == 2) WeightedSumsOf<2>(part, v, out);
    if (count == 3) WeightedSumsOf<3>(part, v, out);
    if (count == 4) WeightedSumsOf<4>(part, v, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::model {

HWY_EXPORT(RowProducts);
HWY_EXPORT(WeightedSums);

void row_products(ConstRows w, const float* x, float* y, Reading reading) {
  if (kernels::target() == "ref") return row_products_ref(w, x, y);
  HWY_DYNAMIC_DISPATCH(RowProducts)(w, x, y, reading);
}

void weighted_sums(ConstRows weight, ConstRows v, Rows y) {
  if (kernels::target() == "ref") return weighted_sums_ref(weight, v, y);
  HWY_DYNAMIC_DISPATCH(WeightedSums)(weight, v, y);
}

}  // namespace lowbit::model
#endif

#endif
