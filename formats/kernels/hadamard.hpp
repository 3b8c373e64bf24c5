// What the Walsh-Hadamard kernels are told, and what they use between the passes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lowbit::kernels {

/// Order N = m * inner, inner = 2^k.
struct HadamardPlan {
  std::size_t n = 1, m = 1, inner = 1;
  float norm = 1;                    ///< float32(1 / sqrt(N)), the last factor but the signs
  const float* signs_in = nullptr;   ///< multiplied into x first
  const float* signs_out = nullptr;  ///< multiplied into y last
  /// m > 1: column c of the factor as places in a table of the m rows followed by the m negated rows, row by row.
  std::vector<std::uint32_t> picks;
  bool stream = false;  ///< y is aligned and larger than the caches: store past them
};

/// The plan of an order that exists; not streaming. `signs` must outlive it.
HadamardPlan hadamard_plan(std::size_t n, const float* signs, bool inverse);

/// At least n values of this thread, aligned to 64 bytes, good until the next call on this thread.
float* hadamard_scratch(std::size_t n);

/// Transforms `blocks` blocks; y may be x. Order of operations: hadamard_ref.
void run_hadamard(const HadamardPlan& plan, const float* x, float* y, std::size_t blocks);

/// Largest finite magnitude of what run_hadamard makes of x; the results are not stored. `work`: room for all of them.
float hadamard_maximum(const HadamardPlan& plan, const float* x, float* work, std::size_t blocks);

}  // namespace lowbit::kernels
