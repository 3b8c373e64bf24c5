#include "formats/packed.hpp"

#include "formats/code_store.hpp"
#include "formats/error.hpp"
#include "formats/group_walk.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/pack.hpp"

namespace lowbit {
namespace {

void check_bits(const Format& format) {
  if (format.element->bits > 8)
    throw_error(ExitCode::usage, "element '{}': {} bits, packed are codes of at most 8", format.element->name,
                format.element->bits);
}

void put_all(const std::vector<std::uint32_t>& codes, int bytes, std::vector<std::uint8_t>& out) {
  out.resize(codes.size() * static_cast<std::size_t>(bytes));
  for (std::size_t i = 0; i < codes.size(); ++i)
    put_code(out.data() + i * static_cast<std::size_t>(bytes), bytes, codes[i]);
}

std::vector<std::uint32_t> get_all(const std::vector<std::uint8_t>& bytes_of_all, int bytes) {
  std::vector<std::uint32_t> codes(bytes_of_all.size() / static_cast<std::size_t>(bytes));
  for (std::size_t i = 0; i < codes.size(); ++i)
    codes[i] = get_code(bytes_of_all.data() + i * static_cast<std::size_t>(bytes), bytes);
  return codes;
}

void check_size(const char* what, std::size_t bytes, std::size_t expected) {
  if (bytes != expected) throw_error(ExitCode::bad_data, "packed {}: {} bytes, {} expected", what, bytes, expected);
}

void check_sizes(const PackedTensor& p) {
  check_bits(p.format);
  const std::size_t rows = packed_rows(p.layout), length = packed_row_length(p.layout);
  check_size("codes", p.codes.size(), packed_size(pack_layout("dense"), p.format.element->bits, rows, length));
  const std::size_t groups = p.format.is_block() ? GroupGrid(p.format, p.layout).group_count() : 0;
  check_size("scales", p.scales.size(), groups * static_cast<std::size_t>(scale_bytes(p.format)));
  check_size("zero points", p.zero_points.size(), groups * static_cast<std::size_t>(zero_point_bytes(p.format)));
  if (p.tensor_scale.has_value() != (p.format.second_level != SecondLevel::none))
    throw_error(ExitCode::bad_data, "packed tensor scale: {}",
                p.tensor_scale ? "given, the format has none" : "missing");
}

}  // namespace

std::size_t packed_row_length(const Layout& layout) {
  return layout.shape.empty() ? 0 : layout.shape.back();
}

std::size_t packed_rows(const Layout& layout) {
  const std::size_t length = packed_row_length(layout);
  return length == 0 ? 0 : layout.size() / length;
}

int scale_bytes(const Format& format) {
  return format.scale_element == nullptr ? 0 : bytes_per_code(*format.scale_element);
}

int zero_point_bytes(const Format& format) {
  if (format.zero_point == ZeroPoint::none) return 0;
  return format.zero_point == ZeroPoint::integer ? 1 : bytes_per_code(*format.zero_element);
}

namespace {

void pack_parts(const Quantized& q, PackedTensor& out) {
  out.format = q.format;
  out.layout = q.layout;
  out.codes = pack_codes(pack_layout("dense"), q.format.element->bits, q.codes, packed_row_length(q.layout));
  put_all(q.scales, scale_bytes(q.format), out.scales);
  put_all(q.zero_points, zero_point_bytes(q.format), out.zero_points);
  out.tensor_scale = q.tensor_scale;
}

Quantized unpack_parts(const PackedTensor& p) {
  const bool sign_extend = p.format.element->is_integer() && p.format.zero_point == ZeroPoint::none;
  Quantized q{p.format, p.layout, 1, {}, {}, {}, p.tensor_scale};
  q.codes = unpack_codes(pack_layout("dense"), p.format.element->bits, p.codes, packed_rows(p.layout),
                         packed_row_length(p.layout), sign_extend);
  if (scale_bytes(p.format) != 0) q.scales = get_all(p.scales, scale_bytes(p.format));
  if (zero_point_bytes(p.format) != 0) q.zero_points = get_all(p.zero_points, zero_point_bytes(p.format));
  return q;
}

}  // namespace

void quantize_packed_ref(const Format& format, const Layout& layout, const float* x, PackedTensor& out,
                         const QuantizeContext& context) {
  check_bits(format);
  pack_parts(encode_ref(format, layout, x, context), out);
}

void quantize_packed(const Format& format, const Layout& layout, const float* x, PackedTensor& out,
                     const QuantizeContext& context) {
  check_bits(format);
  if (!kernels::encode_packed(format, layout, x, out, context)) pack_parts(encode(format, layout, x, context), out);
}

void dequantize_packed_ref(const PackedTensor& p, float* y) {
  check_sizes(p);
  decode_ref(unpack_parts(p), y);
}

void dequantize_packed(const PackedTensor& packed, float* y, Workers* workers) {
  check_sizes(packed);
  if (!kernels::decode_packed(packed, y, workers)) decode(unpack_parts(packed), y);
}

}  // namespace lowbit
