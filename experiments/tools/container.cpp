#include "experiments/tools/container.hpp"

#include <bit>
#include <cstring>

#include "experiments/core/command_line.hpp"
#include "formats/code_store.hpp"
#include "formats/error.hpp"
#include "formats/pack.hpp"
#include "formats/pack_ggml.hpp"

namespace lowbit {
namespace {

std::size_t rows_of(const Quantized& q) {
  return q.layout.length() == 0 ? 0 : q.layout.size() / q.layout.length();
}

Shape leading(const Layout& layout) {
  return {layout.shape.begin(), layout.shape.end() - 1};
}

Shape with(Shape shape, std::initializer_list<std::size_t> last) {
  shape.insert(shape.end(), last);
  return shape;
}

std::size_t product(const Shape& shape) {
  std::size_t n = 1;
  for (const std::size_t extent : shape) n *= extent;
  return n;
}

std::vector<std::uint8_t> byte_codes(const Quantized& q) {
  std::vector<std::uint8_t> codes(q.layout.size());
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(q.code(i));
  return codes;
}

void set_codes(Quantized& q, std::span<const std::uint8_t> codes) {
  q.code_bytes = bytes_per_code(*q.format.element);
  q.codes.resize(codes.size() * static_cast<std::size_t>(q.code_bytes));
  for (std::size_t i = 0; i < codes.size(); ++i)
    put_code(q.codes.data() + i * static_cast<std::size_t>(q.code_bytes), q.code_bytes,
             stored_code(q.format, codes[i] & code_mask(*q.format.element)));
}

std::vector<std::uint8_t> little_endian(const std::vector<std::uint32_t>& values, int width) {
  std::vector<std::uint8_t> bytes(values.size() * static_cast<std::size_t>(width));
  for (std::size_t i = 0; i < values.size(); ++i)
    put_code(bytes.data() + i * static_cast<std::size_t>(width), width, values[i]);
  return bytes;
}

std::vector<std::uint32_t> from_little_endian(const std::vector<std::uint8_t>& bytes, int width, std::size_t count,
                                              const char* what) {
  if (bytes.size() != count * static_cast<std::size_t>(width))
    throw_error(ExitCode::bad_data, "{}: {} bytes; the codes ask for {}", what, bytes.size(),
                count * static_cast<std::size_t>(width));
  std::vector<std::uint32_t> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = get_code(bytes.data() + i * static_cast<std::size_t>(width), width);
  return values;
}

int width_of(const Element* element) {
  return element ? bytes_per_code(*element) : 1;
}
const Element* zero_element(const Format& f) {
  return f.zero_point == ZeroPoint::none ? nullptr : f.zero_point == ZeroPoint::minimum ? f.zero_element : f.element;
}

// The layout of the codes behind a container: the part after "codes." of a generic one.
const PackLayout& codes_layout(const Container& c) {
  const bool generic = c.formats.empty();
  return pack_layout(c.name == "blocked_128x4" ? "dense" : generic ? std::string_view(c.name) : "nibble_low_first");
}

void fill_sides(const Quantized& q, Packed& p) {
  p.scales_shape = q.format.scale_element ? scale_shape(q.format, q.layout) : Shape{};
  if (q.format.scale_element) p.scales = little_endian(q.scales, width_of(q.format.scale_element));
  if (const Element* zero = zero_element(q.format)) p.zero_points = little_endian(q.zero_points, width_of(zero));
  p.tensor_scale = q.tensor_scale;
}

void read_sides(const Packed& p, Quantized& q) {
  const std::size_t groups = q.format.scale_element ? product(scale_shape(q.format, q.layout)) : 0;
  if (q.format.scale_element)
    q.scales = from_little_endian(p.scales, width_of(q.format.scale_element), groups, "scales");
  if (const Element* zero = zero_element(q.format))
    q.zero_points = from_little_endian(p.zero_points, width_of(zero), groups, "zero points");
  q.tensor_scale = p.tensor_scale;
}

Packed pack_rows(const Container& c, const Quantized& q) {
  const PackLayout& layout = codes_layout(c);
  const int bits = q.format.element->bits;
  Packed p;
  p.codes = pack_codes(layout, bits, byte_codes(q), q.layout.length());
  const std::size_t rows = rows_of(q);
  p.codes_shape = with(leading(q.layout), {rows == 0 ? 0 : p.codes.size() / rows});
  fill_sides(q, p);
  return p;
}

void unpack_rows(const Container& c, const Packed& p, Quantized& q) {
  set_codes(q, unpack_codes(codes_layout(c), q.format.element->bits, p.codes, rows_of(q), q.layout.length()));
  read_sides(p, q);
}

std::size_t nibble_row(const Container&, const Format&, const Shape& shape) {
  return shape.empty() ? 0 : 2 * shape.back();
}
std::size_t unknown_row(const Container&, const Format&, const Shape&) {
  return 0;
}

// gpt-oss: blocks [.., G, 16], scales [.., G].
Packed pack_gpt_oss(const Container& c, const Quantized& q) {
  if (q.layout.length() % 32 != 0)
    throw_error(ExitCode::usage, "layout {}: the last axis has {} values; a multiple of 32 is expected", c.name,
                q.layout.length());
  Packed p = pack_rows(c, q);
  p.codes_shape = with(leading(q.layout), {q.layout.length() / 32, 16});
  return p;
}

std::size_t gpt_oss_row(const Container& c, const Format&, const Shape& shape) {
  if (shape.size() < 2 || shape.back() != 16)
    throw_error(ExitCode::bad_data, "layout {}: blocks of shape {}; [.., groups, 16] is expected", c.name,
                to_string(shape));
  return shape[shape.size() - 2] * 32;
}

// Block scales in the order of the tensor core: rows are all axes but the last.
Packed pack_blocked(const Container& c, const Quantized& q) {
  Packed p = pack_rows(c, q);
  const std::size_t rows = rows_of(q), columns = p.scales_shape.back();
  p.scales = swizzle_scales(p.scales, rows, columns);
  p.scales_shape = {p.scales.size()};
  return p;
}

void unpack_blocked(const Container& c, const Packed& p, Quantized& q) {
  Packed plain = p;
  plain.scales = unswizzle_scales(p.scales, rows_of(q), scale_shape(q.format, q.layout).back());
  unpack_rows(c, plain, q);
}

std::size_t blocked_row(const Container&, const Format& f, const Shape& shape) {
  const bool whole = !shape.empty() && shape.back() * 8 % static_cast<std::size_t>(f.element->bits) == 0;
  return whole ? shape.back() * 8 / static_cast<std::size_t>(f.element->bits) : 0;
}

const GgmlBlock& block_of(const Container& c) {
  return ggml_block(std::string_view(c.name).substr(5));
}

bool has_offset(const Quantized& q) {
  return q.format.element->is_integer() && q.format.zero_point == ZeroPoint::none && q.format.element->bits < 8;
}

Packed pack_ggml_rows(const Container& c, const Quantized& q) {
  const GgmlBlock& block = block_of(c);
  if (q.layout.length() % block.values != 0)
    throw_error(ExitCode::usage, "layout {}: the last axis has {} values; a multiple of {} is expected", c.name,
                q.layout.length(), block.values);
  std::vector<std::uint8_t> codes = byte_codes(q);
  const int bits = q.format.element->bits;
  if (has_offset(q))  // two's complement to ggml's fields 0 .. 2^b - 1
    for (std::uint8_t& code : codes) code ^= static_cast<std::uint8_t>(1 << (bits - 1));
  Packed p;
  p.codes = pack_ggml(block, codes, q.scales, q.zero_points);
  p.codes_shape = with(leading(q.layout), {q.layout.length() / block.values * block.bytes});
  return p;
}

void unpack_ggml_rows(const Container& c, const Packed& p, Quantized& q) {
  GgmlContents contents = unpack_ggml(block_of(c), p.codes);
  if (has_offset(q))
    for (std::uint8_t& code : contents.codes) code ^= static_cast<std::uint8_t>(1 << (q.format.element->bits - 1));
  set_codes(q, contents.codes);
  q.scales = std::move(contents.scales);
  q.zero_points = std::move(contents.minima);
}

std::size_t ggml_row(const Container& c, const Format&, const Shape& shape) {
  const GgmlBlock& block = block_of(c);
  if (shape.empty() || shape.back() % block.bytes != 0)
    throw_error(ExitCode::bad_data, "layout {}: rows of shape {}; a multiple of {} bytes is expected", c.name,
                to_string(shape), block.bytes);
  return shape.back() / block.bytes * block.values;
}

std::string ggml_format(const GgmlBlock& block) {
  const std::string name(block.name);
  return name == "tq1_0" ? "tq2_0" : name + (name == "mxfp4" || name == "nvfp4" ? ":like=ggml" : "");
}

std::vector<Container> make_containers() {
  std::vector<Container> all = {
      {"gpt_oss_mxfp4", "NAME_blocks [.., groups, 16] and NAME_scales [.., groups], even element in the low nibble",
       "openai/gpt-oss on Hugging Face", "mxfp4", "_blocks", "_scales", "", "", "U8", pack_gpt_oss, unpack_rows,
       gpt_oss_row},
      {"modelopt_nvfp4", "NAME [.., n/2], NAME_scale [.., n/16] in F8_E4M3, NAME_scale_2: the tensor scale",
       "NVIDIA ModelOpt 0.47.0, unified Hugging Face export", "nvfp4", "", "_scale", "_scale_2", "", "F8_E4M3",
       pack_rows, unpack_rows, nibble_row},
      {"compressed_tensors_nvfp4",
       "NAME_packed [.., n/2], NAME_scale [.., n/16] in F8_E4M3, NAME_global_scale: 2688 / amax",
       "compressed-tensors 0.20.0, nvfp4-pack-quantized", "nvfp4:like=compressed_tensors", "_packed", "_scale",
       "_global_scale", "", "F8_E4M3", pack_rows, unpack_rows, nibble_row},
      {"blocked_128x4",
       "NAME: dense codes, NAME_scale: block scales in tiles of 128 x 4, NAME_scale_2: the tensor scale",
       "cuBLAS and tcgen05 block scaling; torchao to_blocked", "", "", "_scale", "_scale_2", "", "", pack_blocked,
       unpack_blocked, blocked_row}};
  for (const GgmlBlock& block : ggml_blocks())
    all.push_back({"ggml_" + std::string(block.name), "NAME [.., bytes]: codes, scales and minima of whole blocks",
                   "ggml, commit d99724f", ggml_format(block), "", "", "", "", "", pack_ggml_rows, unpack_ggml_rows,
                   ggml_row});
  for (const PackLayout& layout : pack_layouts())
    all.push_back({std::string(layout.name), std::string(layout.description), std::string(layout.source), "", "_codes",
                   "_scales", "_tensor_scale", "_zero_points", "", pack_rows, unpack_rows, unknown_row});
  return all;
}

}  // namespace

const std::vector<Container>& containers() {
  static const std::vector<Container> all = make_containers();
  return all;
}

const Container& container(std::string_view name) {
  std::vector<std::string> names;
  for (const Container& c : containers()) {
    if (c.name == name) return c;
    names.push_back(c.name);
  }
  throw_error(ExitCode::usage, "--layout: unknown layout '{}'{}", name, suggestion(name, names));
}

void check_holds(const Container& c, const Format& format) {
  if (c.name == "blocked_128x4") {
    const bool byte_scales = format.scale_element && format.scale_element->bits <= 8 && format.group == GroupKind::size;
    if (!byte_scales || format.element->bits > 8 || format.zero_point != ZeroPoint::none)
      throw_error(ExitCode::usage, "layout {} holds groups along the axis with scales of a byte, not {}", c.name,
                  to_string(format));
    return;
  }
  if (c.formats.empty()) {
    if (format.element->bits > 8)
      throw_error(ExitCode::usage, "layout {} holds codes of at most 8 bits, not the {} of {}", c.name,
                  format.element->bits, to_string(format));
    return;
  }
  const Format wanted = parse_format(c.formats);
  const bool global_scale_differs = (wanted.like == "compressed_tensors") != (format.like == "compressed_tensors") &&
                                    wanted.second_level != SecondLevel::none;
  if (global_scale_differs || wanted.element != format.element || wanted.group != format.group ||
      wanted.group_size != format.group_size || wanted.scale_element != format.scale_element ||
      wanted.second_level != format.second_level || wanted.zero_point != format.zero_point ||
      wanted.zero_element != format.zero_element)
    throw_error(ExitCode::usage, "layout {} holds {}, not {}", c.name, c.formats, to_string(format));
}

}  // namespace lowbit
