// Ternary groups on vectors. The caller has set the floating-point state.
#pragma once
#include "formats/kernels/encode.hpp"

namespace lowbit::kernels {

void quantize_ternary(const BlockPlan& plan, const float* x, float* y, std::size_t blocks, std::uint64_t index);
void encode_ternary(const BlockPlan& plan, const float* x, std::size_t blocks, std::uint64_t index, SplitParts out);

}  // namespace lowbit::kernels
