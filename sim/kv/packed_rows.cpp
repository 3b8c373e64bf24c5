#include "sim/kv/packed_rows.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions alone

namespace lowbit::kv {
namespace {

using F16 = float __attribute__((vector_size(64)));
using U16 = std::uint32_t __attribute__((vector_size(64)));
using I16 = std::int32_t __attribute__((vector_size(64)));

namespace plain {
#include "sim/kv/packed_rows_inl.hpp"
}  // namespace plain

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define LOWBIT_KV_TARGETS 1
#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
#include "sim/kv/packed_rows_inl.hpp"
}  // namespace avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
namespace avx512 {
#include "sim/kv/packed_rows_inl.hpp"
}  // namespace avx512
#pragma GCC pop_options
#endif

/// The kernels of one instruction set.
struct Kernels {
  void (*float_logits)(ConstRows, ConstRows, Rows);
  void (*float_sums)(ConstRows, ConstRows, Rows);
  void (*logits[2])(const PackedRows&, const float*, const float*, ConstRows, Rows);  // 2 and 4 bits
  void (*sums[2])(const PackedRows&, std::size_t, const float*, const float*, ConstRows, Rows);
};
#define LOWBIT_KV_KERNELS(isa)                                                                  \
  Kernels {                                                                                     \
    &isa::run_float_logits, &isa::run_float_sums, {&isa::run_logits<2>, &isa::run_logits<4>}, { \
      &isa::run_sums<2>, &isa::run_sums<4>                                                      \
    }                                                                                           \
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
        __builtin_cpu_supports("avx512vl"))
      out.push_back({"avx512", LOWBIT_KV_KERNELS(avx512)});
    if (__builtin_cpu_supports("avx2")) out.push_back({"avx2", LOWBIT_KV_KERNELS(avx2)});
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

bool float_sums(ConstRows rows, ConstRows weights, Rows sums) {
  if (!fits(rows.columns)) return false;
  kernels().float_sums(rows, weights, sums);
  return true;
}

void packed_logits(int bits, const PackedRows& rows, const float* scale, const float* zero, ConstRows q, KvMath math,
                   Rows out) {
  assert(packed_rows_fit(bits, rows.width) && q.columns == rows.width);
  const auto run = kernels().logits[bits == 2 ? 0 : 1];
  if (math == KvMath::exact) return run(rows, scale, zero, q, out);
  std::vector<float> scaled(q.rows * q.columns);
  std::vector<float> base(q.rows);
  for (std::size_t i = 0; i < q.rows; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < q.columns; ++c) {
      scaled[i * q.columns + c] = q.row(i)[c] * scale[c];
      sum += static_cast<double>(q.row(i)[c]) * zero[c];
    }
    base[i] = static_cast<float>(sum);
  }
  run(rows, nullptr, nullptr, {scaled.data(), q.rows, q.columns}, out);
  for (std::size_t i = 0; i < q.rows; ++i)
    for (std::size_t t = 0; t < rows.rows; ++t) out.row(i)[t] += base[i];
}

void packed_sums(int bits, const PackedRows& rows, std::size_t group, const float* scale, const float* zero,
                 ConstRows weights, KvMath math, Rows sums) {
  assert(packed_rows_fit(bits, rows.width) && rows.width % group == 0 && group % 16 == 0);
  const auto run = kernels().sums[bits == 2 ? 0 : 1];
  if (math == KvMath::exact || group != rows.width) return run(rows, group, scale, zero, weights, sums);
  std::vector<float> scaled(weights.rows * rows.rows);
  for (std::size_t i = 0; i < weights.rows; ++i) {
    double sum = 0;
    for (std::size_t t = 0; t < rows.rows; ++t) {
      scaled[i * rows.rows + t] = weights.row(i)[t] * scale[t];
      sum += static_cast<double>(weights.row(i)[t]) * zero[t];
    }
    for (std::size_t c = 0; c < sums.columns; ++c) sums.row(i)[c] += static_cast<float>(sum);
  }
  run(rows, group, nullptr, nullptr, {scaled.data(), weights.rows, rows.rows}, sums);
}

}  // namespace lowbit::kv
