// Which transforms the kernel takes: all, unless the reference is forced.
#include <hwy/cache_control.h>

#include <cmath>
#include <cstdint>

#include "formats/kernels/hadamard.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/pieces.hpp"
#include "formats/primitives.hpp"

namespace lowbit::kernels {
namespace {

/// Blocks of at most this many values are finished in a buffer in the cache before they are stored.
constexpr std::size_t kBufferedValues = 4096;

std::vector<std::uint32_t> make_picks(std::size_t m, bool inverse) {
  const std::vector<int>& h = hadamard_factor(m);
  std::vector<std::uint32_t> picks(m * m);
  for (std::size_t c = 0; c < m; ++c)
    for (std::size_t r = 0; r < m; ++r) {
      const bool plus = (inverse ? h[c * m + r] : h[r * m + c]) > 0;
      picks[c * m + r] = static_cast<std::uint32_t>(plus ? r : m + r);
    }
  return picks;
}

}  // namespace

HadamardPlan hadamard_plan(std::size_t n, const float* signs, bool inverse) {
  HadamardPlan plan;
  plan.n = n;
  plan.m = hadamard_outer_factor(n);
  plan.inner = n / plan.m;
  plan.norm = hadamard_norm(n);
  (inverse ? plan.signs_out : plan.signs_in) = signs;
  if (plan.m > 1) plan.picks = make_picks(plan.m, inverse);
  return plan;
}

float* hadamard_scratch(std::size_t n) {
  thread_local std::vector<float> room;
  if (room.size() < n + 16) room.resize(n + 16);
  return room.data() + (64 - reinterpret_cast<std::uintptr_t>(room.data()) % 64) % 64 / sizeof(float);
}

bool hadamard(const float* x, float* y, std::size_t n, std::size_t blocks, const float* signs, bool inverse) {
  if (target() == "ref") return false;
  HadamardPlan plan = hadamard_plan(n, signs, inverse);
  plan.stream = x != y && n <= kBufferedValues && n % 16 == 0 && n * blocks * sizeof(float) >= kStreamBytes &&
                reinterpret_cast<std::uintptr_t>(y) % 64 == 0;
  const DefaultRounding state;
  run_hadamard(plan, x, y, blocks);
  if (plan.stream) hwy::FlushStream();
  return true;
}

}  // namespace lowbit::kernels
