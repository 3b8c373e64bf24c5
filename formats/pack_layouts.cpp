// The table of layouts. A layout that is a fixed position for each bit is described by that position alone, so that
// both directions follow from one function.
#include <algorithm>

#include "formats/kernels/kernels.hpp"
#include "formats/pack.hpp"

namespace lowbit {
namespace {

using Codes = const std::uint8_t*;
using Bytes = std::uint8_t*;

/// Where bit `bit` of code `i` of a row of n lies: byte * 8 + bit, bit 0 the least significant.
using Position = std::size_t (*)(int bits, std::size_t n, std::size_t i, int bit);

template <Position kPosition>
void pack_bits(int bits, Codes codes, std::size_t n, Bytes bytes) {
  for (std::size_t i = 0; i < n; ++i)
    for (int b = 0; b < bits; ++b) {
      const std::size_t p = kPosition(bits, n, i, b);
      bytes[p / 8] = static_cast<std::uint8_t>(bytes[p / 8] | ((codes[i] >> b & 1u) << (p % 8)));
    }
}

template <Position kPosition>
void unpack_bits(int bits, const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes) {
  for (std::size_t i = 0; i < n; ++i) {
    unsigned code = 0;
    for (int b = 0; b < bits; ++b) {
      const std::size_t p = kPosition(bits, n, i, b);
      code |= (bytes[p / 8] >> (p % 8) & 1u) << b;
    }
    codes[i] = static_cast<std::uint8_t>(code);
  }
}

std::size_t low_first(int bits, std::size_t, std::size_t i, int b) {
  return i * bits + b;
}
std::size_t nibble_high_first(int, std::size_t, std::size_t i, int b) {
  return i / 2 * 8 + (i % 2 ? 0 : 4) + b;
}
std::size_t one_byte(int, std::size_t, std::size_t i, int b) {
  return i * 8 + b;
}

/// Element j of a block in the low nibble of byte j, element j + half in the high one.
template <std::size_t kHalf>
std::size_t ggml_halves(int, std::size_t, std::size_t i, int b) {
  const std::size_t block = i / (2 * kHalf), j = i % (2 * kHalf);
  return (block * kHalf + j % kHalf) * 8 + (j < kHalf ? 0 : 4) + b;
}

/// First code in the most significant bits of each byte; widths that divide 8.
std::size_t field_high_first(int bits, std::size_t, std::size_t i, int b) {
  const std::size_t per_byte = 8 / bits;
  return i / per_byte * 8 + (per_byte - 1 - i % per_byte) * bits + b;
}

/// floor(32 / bits) codes a little-endian word, first code lowest.
std::size_t whole_fields_of_word(int bits, std::size_t, std::size_t i, int b) {
  const std::size_t per_word = 32 / bits;
  return i / per_word * 32 + i % per_word * bits + b;
}

/// Groups of 4 * kStride codes in 3 * kStride bytes: codes of the first three quarters in the low six bits, the last
/// quarter's bit pairs 0-1, 2-3, 4-5 in the top two bits of the three.
template <std::size_t kStride>
std::size_t split_fourth(int, std::size_t, std::size_t i, int b) {
  const std::size_t group = i / (4 * kStride), quarter = i / kStride % 4, lane = i % kStride;
  const std::size_t base = group * 3 * kStride + lane;
  if (quarter < 3) return (base + quarter * kStride) * 8 + b;
  return (base + b / 2 * kStride) * 8 + 6 + b % 2;
}

/// E2M1 in the middle four bits of its byte, wider codes from bit 0.
std::size_t ptx_container(int bits, std::size_t, std::size_t i, int b) {
  return i * 8 + (bits == 4 ? 2 : 0) + b;
}

/// ggml TQ2_0: element 128 h + m + 32 n in bits 2n, 2n + 1 of byte 32 h + m.
std::size_t tq2_0_bits(int, std::size_t, std::size_t i, int b) {
  return (i / 128 * 32 + i % 32) * 8 + i % 128 / 32 * 2 + b;
}

/// Byte and trit (0 = most significant) of element i of a TQ1_0 block of 256.
struct Trit {
  std::size_t byte;
  int place;
};
Trit tq1_0_place(std::size_t i) {
  if (i < 160) return {i % 32, static_cast<int>(i / 32)};
  if (i < 240) return {32 + (i - 160) % 16, static_cast<int>((i - 160) / 16)};
  return {48 + (i - 240) % 4, static_cast<int>((i - 240) / 4)};
}

/// Codes 0, 1, 2. The stored byte is ceil(256 t / 243), t the number with the five trits; the fifth of the last four
/// bytes is 0. A code 3 counts as 2.
void pack_tq1_0(int, Codes codes, std::size_t n, Bytes bytes) {
  constexpr unsigned kPower[5] = {81, 27, 9, 3, 1};
  for (std::size_t block = 0; block < n / 256; ++block) {
    unsigned t[52] = {};
    for (std::size_t i = 0; i < 256; ++i) {
      const Trit trit = tq1_0_place(i);
      t[trit.byte] += std::min<unsigned>(codes[block * 256 + i], 2) * kPower[trit.place];
    }
    for (std::size_t b = 0; b < 52; ++b) bytes[block * 52 + b] = static_cast<std::uint8_t>((t[b] * 256 + 242) / 243);
  }
}

/// Trit n of a byte: ((byte * 3^n mod 256) * 3) >> 8.
void unpack_tq1_0(int, const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes) {
  constexpr unsigned kPower[5] = {1, 3, 9, 27, 81};
  for (std::size_t i = 0; i < n; ++i) {
    const Trit trit = tq1_0_place(i % 256);
    const unsigned shifted = (bytes[i / 256 * 52 + trit.byte] * kPower[trit.place]) & 0xFFu;
    codes[i] = static_cast<std::uint8_t>(shifted * 3 >> 8);
  }
}

std::size_t two_bit(int, std::size_t, std::size_t i, int b) {
  return i * 2 + b;
}

/// Ternary codes (value + 1) <-> 00 = 0, 01 = +1, 10 = -1; field 3 is no value and stays the code 3, which is none
/// either.
constexpr std::uint8_t kFieldOfTernary[4] = {2, 0, 1, 3};
constexpr std::uint8_t kTernaryOfField[4] = {1, 2, 0, 3};

void pack_ternary_sign(int bits, Codes codes, std::size_t n, Bytes bytes) {
  for (std::size_t i = 0; i < n; ++i)
    bytes[i / 4] = static_cast<std::uint8_t>(bytes[i / 4] | kFieldOfTernary[codes[i] & 3] << (i % 4 * bits));
}

void unpack_ternary_sign(int bits, const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes) {
  for (std::size_t i = 0; i < n; ++i) codes[i] = kTernaryOfField[bytes[i / 4] >> (i % 4 * bits) & 3];
}

std::size_t dense_bytes(int bits, std::size_t n) {
  return (n * bits + 7) / 8;
}
std::size_t word_bytes(int bits, std::size_t n) {
  return (n * bits + 31) / 32 * 4;
}
std::size_t whole_field_bytes(int bits, std::size_t n) {
  return (n + 32 / bits - 1) / (32 / bits) * 4;
}
std::size_t code_bytes(int, std::size_t n) {
  return n;
}
std::size_t tq1_0_bytes(int, std::size_t n) {
  return n / 256 * 52;
}

constexpr int kTwo[] = {2}, kFour[] = {4}, kSix[] = {6}, kFourToEight[] = {4, 6, 8}, kDivisors[] = {1, 2, 4, 8};
constexpr int kAny[] = {1, 2, 3, 4, 5, 6, 7, 8};

void pack_low_first(int bits, Codes codes, std::size_t n, Bytes bytes) {
  if (!kernels::pack_dense(bits, codes, n, bytes)) pack_bits<low_first>(bits, codes, n, bytes);
}
void unpack_low_first(int bits, const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes) {
  if (!kernels::unpack_dense(bits, bytes, n, codes)) unpack_bits<low_first>(bits, bytes, n, codes);
}

/// The dense bit streams have kernels.
constexpr PackLayout dense(std::string_view name, std::string_view description, std::string_view source,
                           std::span<const int> bits, bool is_signed, std::size_t (*bytes)(int, std::size_t)) {
  return {name, description, source, bits, 1, is_signed, bytes, pack_low_first, unpack_low_first};
}

template <Position kPosition>
constexpr PackLayout layout(std::string_view name, std::string_view description, std::string_view source,
                            std::span<const int> bits, std::size_t multiple, bool is_signed,
                            std::size_t (*bytes)(int, std::size_t)) {
  return {name, description, source, bits, multiple, is_signed, bytes, pack_bits<kPosition>, unpack_bits<kPosition>};
}

const PackLayout kLayouts[] = {
    layout<one_byte>("byte", "one code a byte, upper bits 0", "torchao MXFP6 tensors, ml_dtypes, PTX e2m3x2", kAny, 1,
                     false, code_bytes),
    dense("nibble_low_first", "two codes a byte, the even one in the low nibble",
          "gpt-oss MXFP4, ModelOpt and compressed-tensors NVFP4, torchao, Transformer Engine, PTX e2m1x2", kFour, false,
          dense_bytes),
    layout<nibble_high_first>("nibble_high_first", "two codes a byte, the even one in the high nibble",
                              "bitsandbytes NF4 and FP4, torchao NF4", kFour, 1, false, dense_bytes),
    layout<nibble_high_first>("modelopt_int4", "as nibble_high_first, code + 8", "NVIDIA ModelOpt INT4", kFour, 1, true,
                              dense_bytes),
    layout<ggml_halves<16>>("ggml", "blocks of 32: code j in the low, j + 16 in the high nibble of byte j",
                            "ggml Q4_0, Q4_1, MXFP4 (codes alone)", kFour, 32, false, dense_bytes),
    layout<ggml_halves<8>>("ggml_nvfp4", "blocks of 16: code j in the low, j + 8 in the high nibble of byte j",
                           "ggml NVFP4 (codes alone)", kFour, 16, false, dense_bytes),
    dense("ct_int32", "code + 2^(b-1), dense bit stream in 32-bit little-endian words, low bits first",
          "compressed-tensors 0.20.0", kAny, true, word_bytes),
    layout<whole_fields_of_word>("ct_int32_v0", "code + 2^(b-1), floor(32/b) codes a 32-bit word, low bits first",
                                 "compressed-tensors, commit 52792be", kAny, 1, true, whole_field_bytes),
    dense("dense", "dense bit stream, low bits first, little-endian", "the general form of dense6", kAny, false,
          dense_bytes),
    dense("dense6", "four 6-bit codes in three bytes, low bits first", "AMD rocRoller, compressed-tensors MXFP6", kSix,
          false, dense_bytes),
    layout<split_fourth<1>>("torchao6_4", "4 codes in 3 bytes, the fourth split over the top two bits",
                            "torchao pack_4_uint6_values", kSix, 4, false, dense_bytes),
    layout<split_fourth<8>>("torchao6_32", "32 codes in 24 bytes, stride 8, the last quarter split", "torchao uint6",
                            kSix, 32, false, dense_bytes),
    layout<split_fourth<16>>("torchao6_64", "64 codes in 48 bytes, stride 16, the last quarter split", "torchao uint6",
                             kSix, 64, false, dense_bytes),
    layout<field_high_first>("quark", "most significant field of a byte first", "AMD Quark generic helper", kDivisors,
                             1, false, dense_bytes),
    layout<ptx_container>("ptx_mxf8f6f4", "one code a byte, 4-bit codes in the middle four bits",
                          "PTX ISA, kind::mxf8f6f4 operands", kFourToEight, 1, false, code_bytes),
    layout<two_bit>("ternary_plus_one", "four ternary codes a byte, low bits first, field = value + 1",
                    "common ternary packing", kTwo, 1, false, dense_bytes),
    {"ternary_sign", "four ternary codes a byte, low bits first: 00 = 0, 01 = +1, 10 = -1",
     "common ternary packing, second convention", kTwo, 1, false, dense_bytes, pack_ternary_sign, unpack_ternary_sign},
    layout<tq2_0_bits>("tq2_0", "blocks of 256: element 128h + m + 32n in bits 2n, 2n+1 of byte 32h + m",
                       "ggml TQ2_0 (codes 0..2 alone)", kTwo, 256, false, dense_bytes),
    {"tq1_0", "blocks of 256 in 52 bytes of five trits", "ggml TQ1_0 (codes 0..2 alone)", kTwo, 256, false, tq1_0_bytes,
     pack_tq1_0, unpack_tq1_0},
};

}  // namespace

std::span<const PackLayout> pack_layouts() {
  return kLayouts;
}

}  // namespace lowbit
