// What the dispatcher calls: vector loops over contiguous groups. The caller has set the floating-point state.
#pragma once
#include <cstddef>

#include "formats/kernels/plan.hpp"

namespace lowbit::kernels {

/// Longest group of quantize_blocks: a strip of the widest target fits the stack and the words of its values.
constexpr std::size_t kMaxBlock = 512;

/// Lanes of the target that runs: whole blocks must be a multiple of them.
std::size_t lane_count();

/// `blocks` consecutive blocks of plan.group values; `index`: flat index of the first value. `next`: as many values
/// that are fetched into the cache meanwhile, where x lies there already; not read.
void quantize_blocks(const BlockPlan& plan, const float* x, float* y, std::size_t blocks, std::uint64_t index,
                     const float* next = nullptr);

/// What is measured of a group: bits of the largest magnitude, or ordered bits of the largest and the least value.
struct Measured {
  std::int32_t largest, least;
};
Measured measure_group(const BlockPlan& plan, const float* x, std::size_t n);
/// Of two parts of a group.
Measured merged(const BlockPlan& plan, Measured a, Measured b);

/// n values of a group (any number) that measured as given. False, and nothing written, if only the reference can do
/// it.
bool quantize_measured(const BlockPlan& plan, Measured measured, const float* x, float* y, std::size_t n,
                       std::uint64_t index);

}  // namespace lowbit::kernels
