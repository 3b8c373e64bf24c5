// Packed containers: named layouts that put codes of less than a byte into bytes and words, as published code does, and
// the order of block scales in tensor-core memory. Both directions; sizes are checked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace lowbit {

/// One named layout of the codes of a row.
struct PackLayout {
  std::string_view name;
  std::string_view description;                   ///< one line for tables
  std::string_view source;                        ///< whose code or specification
  std::span<const int> bits;                      ///< widths of codes that it packs
  std::size_t multiple;                           ///< a row must be a multiple of this many codes; 1: any length
  bool is_signed;                                 ///< fields hold code + 2^(bits - 1) of a two's complement code
  std::size_t (*bytes)(int bits, std::size_t n);  ///< packed bytes of a row of n codes
  void (*pack)(int bits, const std::uint8_t* codes, std::size_t n, std::uint8_t* bytes);
  void (*unpack)(int bits, const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes);
};

/// All layouts of codes; those of whole blocks (codes and scales together) are ggml_blocks() of pack_ggml.hpp.
std::span<const PackLayout> pack_layouts();

/// The layout of that name; an unknown one is an Error that lists the known.
const PackLayout& pack_layout(std::string_view name);

/// Bytes of `rows` rows of `row_length` codes; each row starts on a new byte (new 32-bit word for ct_int32). Error for
/// a width or a length that the layout does not have.
std::size_t packed_size(const PackLayout& layout, int bits, std::size_t rows, std::size_t row_length);

/// Packs codes, one a byte, row after row. A code may come zero-extended or, for integers, sign-extended to the byte;
/// other upper bits are an Error that names the position. Unused bits of the last byte or word are 0. Errors: as
/// packed_size, codes.size() not a multiple of row_length.
std::vector<std::uint8_t> pack_codes(const PackLayout& layout, int bits, std::span<const std::uint8_t> codes,
                                     std::size_t row_length);

/// The codes again, zero-extended, or sign-extended to the byte if `sign_extend` (integers, as Quantized keeps them).
/// Unused bits are ignored. Error if bytes.size() is not packed_size(...).
std::vector<std::uint8_t> unpack_codes(const PackLayout& layout, int bits, std::span<const std::uint8_t> bytes,
                                       std::size_t rows, std::size_t row_length, bool sign_extend = false);

/// Scale bytes in the order of tcgen05 and cuBLAS block scaling, "blocked_128x4": tiles of 128 rows x 4 columns = 512
/// bytes, tiles row-major, inside offset (r % 32) * 16 + (r % 128) / 32 * 4 + c % 4, padded with 0 to whole tiles.
/// Source: cuBLAS documentation, "1D block scaling factors layout"; torchao to_blocked.
std::size_t swizzled_size(std::size_t rows, std::size_t columns);
std::vector<std::uint8_t> swizzle_scales(std::span<const std::uint8_t> scales, std::size_t rows, std::size_t columns);
/// The inverse; padding is dropped. Error if bytes.size() is not swizzled_size(rows, columns).
std::vector<std::uint8_t> unswizzle_scales(std::span<const std::uint8_t> bytes, std::size_t rows, std::size_t columns);

}  // namespace lowbit
