// Quantised tensors in the fewest bytes: codes side by side, scales of their own width. Made in one pass over the
// values.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "formats/block.hpp"

namespace lowbit {

/// The parts of Quantized, packed. Codes have element.bits bits (at most 8), low bits first, as the layout "dense" of
/// pack.hpp (nibble_low_first for 4 bits): rows along the last axis, each from a whole byte on. Scales and zero points
/// in the order of Quantized, each in as many little-endian bytes as scale_bytes() and zero_point_bytes() say.
struct PackedTensor {
  Format format;
  Layout layout;
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scales;
  std::vector<std::uint8_t> zero_points;
  std::optional<float> tensor_scale;
};

/// Codes along the last axis, and how many such rows there are.
std::size_t packed_row_length(const Layout& layout);
std::size_t packed_rows(const Layout& layout);
/// Bytes of a scale and of a zero point (an integer zero point takes one).
int scale_bytes(const Format& format);
int zero_point_bytes(const Format& format);

/// `out` = x quantised and packed; its storage is reused. Equal to encode() followed by pack_codes(). Errors: as
/// encode; an element of more than 8 bits.
void quantize_packed(const Format& format, const Layout& layout, const float* x, PackedTensor& out,
                     const QuantizeContext& context = {});
void quantize_packed_ref(const Format& format, const Layout& layout, const float* x, PackedTensor& out,
                         const QuantizeContext& context = {});

/// Values of the packed form, as decode(). Error if the parts do not have the sizes of the layout.
void dequantize_packed(const PackedTensor& packed, float* y, Workers* workers = nullptr);
void dequantize_packed_ref(const PackedTensor& packed, float* y);

}  // namespace lowbit
