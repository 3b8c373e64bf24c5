#include "formats/like/ggml_bytes.hpp"

#include "formats/error.hpp"
#include "formats/like/ggml_block.hpp"
#include "formats/like/options.hpp"
#include "formats/pack_ggml.hpp"

namespace lowbit::like {
namespace {

const GgmlBlock& block_of(const Format& format, const Layout& layout) {
  const GgmlType* type = format.like == "ggml" || format.like == "ggml_avx" ? ggml_type_of(format) : nullptr;
  if (type == nullptr)
    throw_error(ExitCode::usage, "'{}' has no ggml blocks; accepted: formats with like=ggml or ggml_avx",
                to_string(format));
  if (layout.inner() != 1)
    throw_error(ExitCode::usage, "ggml blocks run along the last axis, axis {} is quantised", layout.axis);
  const GgmlBlock& block = ggml_block(type->name);
  require_whole_groups(format, layout, block.values);
  return block;
}

/// What ggml adds to a signed code of less than 8 bits: Q4_0 stores 0..15 for -8..7.
int offset_of(const Format& format) {
  const bool is_signed = format.element->is_integer() && format.zero_point == ZeroPoint::none;
  return is_signed && format.element->bits < 8 ? 1 << (format.element->bits - 1) : 0;
}

}  // namespace

std::vector<std::uint8_t> ggml_bytes(const Quantized& quantized) {
  const GgmlBlock& block = block_of(quantized.format, quantized.layout);
  const int offset = offset_of(quantized.format);
  std::vector<std::uint8_t> codes(quantized.codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(quantized.codes[i] + offset);
  return pack_ggml(block, codes, quantized.scales, quantized.zero_points);
}

Quantized ggml_from_bytes(const Format& format, const Layout& layout, std::span<const std::uint8_t> bytes) {
  const GgmlBlock& block = block_of(format, layout);
  const std::size_t wanted = layout.size() / block.values * block.bytes;
  if (bytes.size() != wanted)
    throw_error(ExitCode::bad_data, "ggml {}: {} bytes, {} values take {}", block.name, bytes.size(), layout.size(),
                wanted);
  GgmlContents contents = unpack_ggml(block, bytes);
  const int offset = offset_of(format);
  for (std::uint8_t& code : contents.codes) code = static_cast<std::uint8_t>(code - offset);
  Quantized quantized;
  quantized.format = format;
  quantized.layout = layout;
  quantized.codes = std::move(contents.codes);
  quantized.scales = std::move(contents.scales);
  quantized.zero_points = std::move(contents.minima);
  return quantized;
}

}  // namespace lowbit::like
