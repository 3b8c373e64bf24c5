#include "sim/kv/packed_rows.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

#include "sim/kv/half.hpp"

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#include <immintrin.h>
#define LOWBIT_KV_TARGETS 1
#endif

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions alone
#pragma GCC diagnostic ignored \
    "-Wmaybe-uninitialized"  // in headers of AVX-512 intrinsics, which begin with undefined vectors

namespace lowbit::kv {
namespace {

using F16 = float __attribute__((vector_size(64)));
using U16 = std::uint32_t __attribute__((vector_size(64)));
using I16 = std::int32_t __attribute__((vector_size(64)));

namespace plain {
#define LOWBIT_KV_VECTORS 0
#include "sim/kv/packed_rows_inl.hpp"
#undef LOWBIT_KV_VECTORS
}  // namespace plain

#ifdef LOWBIT_KV_TARGETS
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
namespace avx2 {
#define LOWBIT_KV_VECTORS 256
#include "sim/kv/packed_rows_inl.hpp"
#undef LOWBIT_KV_VECTORS
}  // namespace avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
namespace avx512 {
#define LOWBIT_KV_VECTORS 512
#include "sim/kv/packed_rows_inl.hpp"
#undef LOWBIT_KV_VECTORS
}  // namespace avx512
#pragma GCC pop_options
#endif

/// The kernels of one instruction set; [2]: for 2 and 4 bits.
struct Kernels {
  void (*float_logits)(ConstRows, ConstRows, Rows);
  void (*float_sums)(ConstRows, ConstRows, Rows);
  void (*half_logits)(const HalfRows&, ConstRows, Rows);
  void (*half_sums)(const HalfRows&, ConstRows, Rows);
  void (*logits[2])(const PackedRows&, const float*, const float*, ConstRows, Rows);
  void (*sums[2])(const PackedRows&, std::size_t, const float*, const float*, ConstRows, Rows);
  void (*fold)(ConstRows, const float*, const float*, Rows, float*);
  void (*fused_logits[2])(const PackedRows&, ConstRows, const float*, Rows);
  void (*fused_sums[2])(const PackedRows&, ConstRows, const float*, Rows);
};
#define LOWBIT_KV_PAIR(name) \
  { &name<2>, &name<4> }
#define LOWBIT_KV_KERNELS(isa)                                                                \
  Kernels {                                                                                   \
    &isa::run_float_logits, &isa::run_float_sums, &isa::run_half_logits, &isa::run_half_sums, \
        LOWBIT_KV_PAIR(isa::run_logits), LOWBIT_KV_PAIR(isa::run_sums), &isa::fold,           \
        LOWBIT_KV_PAIR(isa::run_fused_logits), LOWBIT_KV_PAIR(isa::run_fused_sums)            \
  }

struct NamedKernels {
  const char* name;
  Kernels kernels;
};

// Those that this processor runs, the best first.
const std::vector<NamedKernels>& kernel_sets() {
  static const std::vector<NamedKernels> sets = [] {
    std::vector<NamedKernels> out;
#ifdef LOWBIT_KV_TARGETS
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("f16c"))
      out.push_back({"avx512", LOWBIT_KV_KERNELS(avx512)});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"))
      out.push_back({"avx2", LOWBIT_KV_KERNELS(avx2)});
#endif
    out.push_back({"plain", LOWBIT_KV_KERNELS(plain)});
    return out;
  }();
  return sets;
}

std::size_t& chosen() {
  static std::size_t index = 0;
  return index;
}

const Kernels& kernels() {
  return kernel_sets()[chosen()].kernels;
}

/// Queries or weights times scales, and the sums of minima: kept for the next call.
struct Folded {
  model::Matrix scaled;
  std::vector<float> base;
};
const Folded& folded(ConstRows x, const float* scale, const float* zero) {
  static thread_local Folded out;
  out.scaled.resize(x.rows, x.columns);
  out.base.resize(x.rows);
  kernels().fold(x, scale, zero, out.scaled, out.base.data());
  return out;
}

bool fits(std::size_t width) {
  return width == 64 || width == 128;
}

}  // namespace

std::vector<std::string> packed_kernels() {
  std::vector<std::string> names;
  for (const NamedKernels& set : kernel_sets()) names.emplace_back(set.name);
  return names;
}

void use_packed_kernels(std::size_t index) {
  chosen() = std::min(index, kernel_sets().size() - 1);
}

bool packed_rows_fit(int bits, std::size_t width) {
  return (bits == 2 || bits == 4) && fits(width);
}

bool float_logits(ConstRows rows, ConstRows q, Rows out) {
  if (!fits(rows.columns)) return false;
  kernels().float_logits(rows, q, out);
  return true;
}

bool half_logits(const HalfRows& rows, ConstRows q, Rows out) {
  if (!fits(rows.width)) return false;
  kernels().half_logits(rows, q, out);
  return true;
}

bool half_sums(const HalfRows& rows, ConstRows weights, Rows sums) {
  if (!fits(rows.width)) return false;
  kernels().half_sums(rows, weights, sums);
  return true;
}

bool float_sums(ConstRows rows, ConstRows weights, Rows sums) {
  if (!fits(rows.columns)) return false;
  kernels().float_sums(rows, weights, sums);
  return true;
}

void packed_logits(int bits, const PackedRows& rows, const float* scale, const float* zero, ConstRows q, KvMath math,
                   Rows out) {
  assert(packed_rows_fit(bits, rows.width) && q.columns == rows.width);
  const std::size_t which = bits == 2 ? 0 : 1;
  if (math == KvMath::exact) return kernels().logits[which](rows, scale, zero, q, out);
  const Folded& own = folded(q, scale, zero);
  kernels().fused_logits[which](rows, own.scaled.view(), own.base.data(), out);
}

void packed_sums(int bits, const PackedRows& rows, std::size_t group, const float* scale, const float* zero,
                 ConstRows weights, KvMath math, Rows sums) {
  assert(packed_rows_fit(bits, rows.width) && rows.width % group == 0 && group % 16 == 0);
  const std::size_t which = bits == 2 ? 0 : 1;
  if (math == KvMath::exact || group != rows.width)
    return kernels().sums[which](rows, group, scale, zero, weights, sums);
  const Folded& own = folded(weights, scale, zero);
  kernels().fused_sums[which](rows, own.scaled.view(), own.base.data(), sums);
}

}  // namespace lowbit::kv
