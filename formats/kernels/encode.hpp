// Groups into codes and back, on vectors. The caller has set the floating-point state.
#pragma once
#include <cstddef>
#include <cstdint>

#include "formats/kernels/fake_quantize.hpp"
#include "formats/kernels/plan.hpp"

namespace lowbit::kernels {

/// Where the parts of consecutive groups go (or come from), the first group's first.
struct SplitParts {
  std::uint8_t* codes = nullptr;
  int bits = 8;  ///< 8: one code a byte, integers sign-extended; less: that many bits a code, low bits first
  std::uint8_t* scales = nullptr;
  int scale_bytes = 4;            ///< width of a scale and of a zero point, little-endian
  std::uint8_t* zeros = nullptr;  ///< nullptr: the format has none
  int zero_bytes = 4;

  /// The parts from group `groups` on, whose first code is number `values` (a multiple of 8 under bits < 8).
  SplitParts from(std::size_t groups, std::size_t values) const {
    SplitParts p = *this;
    p.codes += values * static_cast<std::size_t>(bits) / 8;
    p.scales += groups * static_cast<std::size_t>(scale_bytes);
    if (zeros != nullptr) p.zeros += groups * static_cast<std::size_t>(zero_bytes);
    return p;
  }
};

void encode_blocks(const BlockPlan& plan, const float* x, std::size_t blocks, std::uint64_t index, SplitParts out);
/// One group of any length.
void encode_group(const BlockPlan& plan, const float* x, std::size_t n, std::uint64_t index, SplitParts out);
/// n values of a group that measured as given; its scale and zero point go to `out` as well. False: reference only.
bool encode_measured(const BlockPlan& plan, Measured measured, const float* x, std::size_t n, std::uint64_t index,
                     SplitParts out);

/// Scales and zero points or minima of the first `groups` groups as their values need them (offset is left alone where
/// there are none).
void group_constants(const BlockPlan& plan, const SplitParts& in, std::size_t groups, float* scale, float* offset);

/// `groups` groups of `size` values.
void decode_groups(const BlockPlan& plan, SplitParts in, std::size_t groups, std::size_t size, float* y);

/// The reference's codes of one group, sign-extended as Quantized keeps them; value i has the flat index
/// index + i * stride.
GroupState reference_codes(const BlockPlan& plan, const float* x, std::size_t n, std::uint64_t index,
                           std::size_t stride, std::uint8_t* codes);

}  // namespace lowbit::kernels
