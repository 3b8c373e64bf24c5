#include "formats/pack.hpp"

#include <algorithm>
#include <string>

#include "formats/error.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kTileRows = 128;
constexpr std::size_t kTileColumns = 4;

std::size_t checked_product(std::size_t a, std::size_t b, const char* what) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) throw_error(ExitCode::bad_data, "{}: {} x {} overflows", what, a, b);
  return product;
}

/// Code without its extension; Error if the upper bits are neither zero nor the sign.
std::uint8_t stripped(std::uint8_t code, int bits, std::size_t index) {
  if (bits >= 8) return code;
  const unsigned upper = code >> bits, ones = 0xFFu >> bits;
  const bool negative = (code >> (bits - 1)) & 1u;
  if (upper != 0 && !(upper == ones && negative))
    throw_error(ExitCode::bad_data, "code 0x{:02X} at index {}: does not fit {} bits", code, index, bits);
  return static_cast<std::uint8_t>(code & ((1u << bits) - 1));
}

std::size_t whole_tiles(std::size_t n, std::size_t tile) {
  return n / tile + (n % tile != 0);
}

std::size_t swizzled_offset(std::size_t row, std::size_t column, std::size_t tile_columns) {
  const std::size_t tile = row / kTileRows * tile_columns + column / kTileColumns;
  return tile * kTileRows * kTileColumns + row % 32 * 16 + row % kTileRows / 32 * 4 + column % kTileColumns;
}

}  // namespace

const PackLayout& pack_layout(std::string_view name) {
  std::string known;
  for (const PackLayout& layout : pack_layouts()) {
    if (layout.name == name) return layout;
    known += (known.empty() ? "" : ", ") + std::string(layout.name);
  }
  throw_error(ExitCode::usage, "unknown layout '{}': known are {}", name, known);
}

std::size_t packed_size(const PackLayout& layout, int bits, std::size_t rows, std::size_t row_length) {
  if (std::find(layout.bits.begin(), layout.bits.end(), bits) == layout.bits.end())
    throw_error(ExitCode::usage, "layout '{}': no codes of {} bits, accepted are {}", layout.name, bits,
                fmt::join(layout.bits, ", "));
  if (row_length % layout.multiple != 0)
    throw_error(ExitCode::bad_data, "layout '{}': row of {} codes, accepted are multiples of {}", layout.name,
                row_length, layout.multiple);
  checked_product(row_length, static_cast<std::size_t>(bits) + 32, "row length");  // headroom for the sizes below
  return checked_product(rows, layout.bytes(bits, row_length), "packed size");
}

std::vector<std::uint8_t> pack_codes(const PackLayout& layout, int bits, std::span<const std::uint8_t> codes,
                                     std::size_t row_length) {
  if (row_length == 0 ? !codes.empty() : codes.size() % row_length != 0)
    throw_error(ExitCode::bad_data, "layout '{}': {} codes are no whole rows of {}", layout.name, codes.size(),
                row_length);
  const std::size_t rows = row_length == 0 ? 0 : codes.size() / row_length;
  std::vector<std::uint8_t> bytes(packed_size(layout, bits, rows, row_length), 0);
  const std::size_t row_bytes = rows == 0 ? 0 : bytes.size() / rows;
  const std::uint8_t offset = layout.is_signed ? static_cast<std::uint8_t>(1u << (bits - 1)) : 0;
  std::vector<std::uint8_t> fields(row_length);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < row_length; ++i)
      fields[i] = stripped(codes[r * row_length + i], bits, r * row_length + i) ^ offset;
    layout.pack(bits, fields.data(), row_length, bytes.data() + r * row_bytes);
  }
  return bytes;
}

std::vector<std::uint8_t> unpack_codes(const PackLayout& layout, int bits, std::span<const std::uint8_t> bytes,
                                       std::size_t rows, std::size_t row_length, bool sign_extend) {
  const std::size_t expected = packed_size(layout, bits, rows, row_length);
  if (bytes.size() != expected)
    throw_error(ExitCode::bad_data, "layout '{}': {} bytes, {} rows of {} codes of {} bits need {}", layout.name,
                bytes.size(), rows, row_length, bits, expected);
  std::vector<std::uint8_t> codes(checked_product(rows, row_length, "number of codes"));
  const std::size_t row_bytes = rows == 0 ? 0 : expected / rows;
  for (std::size_t r = 0; r < rows; ++r)
    layout.unpack(bits, bytes.data() + r * row_bytes, row_length, codes.data() + r * row_length);
  const unsigned sign = 1u << (bits - 1), offset = layout.is_signed ? sign : 0;
  for (std::uint8_t& code : codes) {
    unsigned field = code ^ offset;
    if (sign_extend) field = (field ^ sign) - sign;
    code = static_cast<std::uint8_t>(field);
  }
  return codes;
}

std::size_t swizzled_size(std::size_t rows, std::size_t columns) {
  const std::size_t tiles =
      checked_product(whole_tiles(rows, kTileRows), whole_tiles(columns, kTileColumns), "tiles of scales");
  return checked_product(tiles, kTileRows * kTileColumns, "bytes of scales");
}

std::vector<std::uint8_t> swizzle_scales(std::span<const std::uint8_t> scales, std::size_t rows, std::size_t columns) {
  std::vector<std::uint8_t> bytes(swizzled_size(rows, columns), 0);
  if (scales.size() != rows * columns)
    throw_error(ExitCode::bad_data, "blocked_128x4: {} scales, {} x {} expected", scales.size(), rows, columns);
  const std::size_t tile_columns = whole_tiles(columns, kTileColumns);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) bytes[swizzled_offset(r, c, tile_columns)] = scales[r * columns + c];
  return bytes;
}

std::vector<std::uint8_t> unswizzle_scales(std::span<const std::uint8_t> bytes, std::size_t rows, std::size_t columns) {
  if (bytes.size() != swizzled_size(rows, columns))
    throw_error(ExitCode::bad_data, "blocked_128x4: {} bytes, {} x {} scales need {}", bytes.size(), rows, columns,
                swizzled_size(rows, columns));
  std::vector<std::uint8_t> scales(rows * columns);
  const std::size_t tile_columns = whole_tiles(columns, kTileColumns);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) scales[r * columns + c] = bytes[swizzled_offset(r, c, tile_columns)];
  return scales;
}

}  // namespace lowbit
