// ggml's blocks as the bytes of a GGUF tensor, from and to the split form of the formats with like=ggml and ggml_avx.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "formats/block.hpp"

namespace lowbit::like {

/// Bytes of the tensor's blocks, rows in C order. Errors: another implementation's format; a quantised axis that is not
/// the last; an axis that is no multiple of the block (32; nvfp4 64; tq2_0 256).
std::vector<std::uint8_t> ggml_bytes(const Quantized& quantized);

/// The inverse: the split form of `bytes` for a tensor of that layout, which decode() turns into values as ggml's
/// dequantize_row_* does. Errors: as above, and a number of bytes that does not fit the layout.
Quantized ggml_from_bytes(const Format& format, const Layout& layout, std::span<const std::uint8_t> bytes);

}  // namespace lowbit::like
