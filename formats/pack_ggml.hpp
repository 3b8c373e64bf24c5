// ggml's blocks as bytes: codes, scales and minima of whole blocks, in the layout of ggml-common.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace lowbit {

/// One block type. Codes are ggml's own unsigned fields (Q4_0: 0..15 for -8..7), Q8_0's are two's complement bytes.
struct GgmlBlock {
  std::string_view name;  ///< "q4_0"
  std::size_t values;     ///< values of a block
  std::size_t bytes;      ///< bytes of a block
  std::size_t scales;     ///< scales of a block
  int scale_bytes;        ///< 2: fp16 bits, little-endian; 1: E8M0 or UE4M3
  bool has_minimum;       ///< an fp16 minimum follows the scale
  int code_bits;
};

/// q4_0, q4_1, q5_0, q5_1, q8_0, mxfp4, nvfp4, tq2_0, tq1_0. Source: ggml, commit d99724f, ggml-common.h,
/// ggml-quants.c.
std::span<const GgmlBlock> ggml_blocks();
/// Error that lists the known for an unknown name.
const GgmlBlock& ggml_block(std::string_view name);

/// Bytes of codes.size() / values blocks. `scales`: type.scales a block, in order; `minima`: one a block where the type
/// has them, else empty. Errors: sizes that do not fit each other, a code or scale wider than its field.
std::vector<std::uint8_t> pack_ggml(const GgmlBlock& type, std::span<const std::uint8_t> codes,
                                    std::span<const std::uint32_t> scales, std::span<const std::uint32_t> minima);

struct GgmlContents {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint32_t> scales, minima;
};
/// The inverse. Error if bytes.size() is no multiple of type.bytes.
GgmlContents unpack_ggml(const GgmlBlock& type, std::span<const std::uint8_t> bytes);

}  // namespace lowbit
