// Packed containers: published byte examples, positions computed by hand, round trips over ragged lengths, bad sizes.
#include "formats/pack.hpp"

#include <map>

#include "formats/error.hpp"
#include "formats/pack_ggml.hpp"
#include "formats/random.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using Bytes = std::vector<std::uint8_t>;

namespace {

Bytes pack(std::string_view name, int bits, const Bytes& codes) {
  return pack_codes(pack_layout(name), bits, codes, codes.size());
}

Bytes random_codes(int bits, std::size_t n, std::uint64_t stream) {
  Bytes codes(n);
  for (std::size_t i = 0; i < n; ++i) codes[i] = static_cast<std::uint8_t>(random_word(5, stream, i) >> (32 - bits));
  return codes;
}

/// A block of `n` values whose first codes are given, the others `rest`.
Bytes filled(Bytes first, std::size_t n, std::uint8_t rest) {
  first.resize(n, rest);
  return first;
}

Bytes head(const Bytes& bytes, std::size_t start, std::size_t n) {
  return Bytes(bytes.begin() + static_cast<long>(start), bytes.begin() + static_cast<long>(start + n));
}

}  // namespace

TEST_CASE("Worked bytes of the layouts", "[pack]") {
  // E2M1 codes of the MXFP4 example, low nibble first
  CHECK(pack("nibble_low_first", 4, {7, 0xE, 6, 4, 0xC, 2, 2, 8}) == Bytes{0xE7, 0x46, 0x2C, 0x82});
  // NF4 codes, high nibble first
  CHECK(pack("nibble_high_first", 4, {15, 1, 12, 11, 4, 9, 8, 7, 8, 7, 7, 7}) ==
        Bytes{0xF1, 0xCB, 0x49, 0x87, 0x87, 0x77});
  CHECK(pack("modelopt_int4", 4, {7, 0xF8, 0, 0xF}) == Bytes{0xF0, 0x87});  // 15 0 8 7
  CHECK(pack("dense6", 6, {0x1E, 0x3A, 0x16, 0x12}) == Bytes{0x9E, 0x6E, 0x49});
  CHECK(pack("dense6", 6, {0x1E, 0x3A}) == Bytes{0x9E, 0x0E});
  CHECK(pack("torchao6_4", 6, {1, 2, 3, 0b111001}) == Bytes{0x41, 0x82, 0xC3});
  CHECK(pack("ct_int32", 4, {0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0}) ==
        Bytes{0x10, 0x32, 0x54, 0x76, 8, 0, 0, 0});
  CHECK(pack("ct_int32", 4, {8, 9}) == Bytes{0x10, 0, 0, 0});  // zero-extended two's complement
  CHECK(pack("quark", 4, {1, 2, 3}) == Bytes{0x12, 0x30});
  CHECK(pack("quark", 2, {0, 1, 2, 3}) == Bytes{0x1B});
  CHECK(pack("ptx_mxf8f6f4", 4, {0x7, 0x8}) == Bytes{0x1C, 0x20});
  CHECK(pack("ptx_mxf8f6f4", 6, {0x3F}) == Bytes{0x3F});
  CHECK(pack("ternary_plus_one", 2, {0, 1, 2, 2, 1}) == Bytes{0b10100100, 0b01});
  CHECK(pack("ternary_sign", 2, {0, 1, 2, 2, 1}) == Bytes{0b01010010, 0});  // -1 0 1 1 0
  CHECK(pack("byte", 6, {0x3F, 1}) == Bytes{0x3F, 1});
}

TEST_CASE("Bit streams in words equal an integer built from its definition", "[pack]") {
  for (int bits = 1; bits <= 8; ++bits)
    for (std::size_t n : {1, 5, 10, 11, 21, 32, 33}) {
      const Bytes codes = random_codes(bits, n, static_cast<std::uint64_t>(bits));
      Bytes dense((n * bits + 31) / 32 * 4), whole((n + 32 / bits - 1) / (32 / bits) * 4);
      for (std::size_t i = 0; i < n; ++i) {
        const unsigned field = (codes[i] + (1u << (bits - 1))) % (1u << bits);
        for (int b = 0; b < bits; ++b) {
          if (!(field >> b & 1)) continue;
          const std::size_t stream = i * bits + b, word = i / (32 / bits) * 32 + i % (32 / bits) * bits + b;
          dense[stream / 8] |= static_cast<std::uint8_t>(1 << stream % 8);
          whole[word / 8] |= static_cast<std::uint8_t>(1 << word % 8);
        }
      }
      REQUIRE(pack("ct_int32", bits, codes) == dense);
      REQUIRE(pack("ct_int32_v0", bits, codes) == whole);
      if (32 % bits == 0) {
        REQUIRE(dense == whole);
      }
    }
}

TEST_CASE("Strided 6-bit forms keep three quarters in place and split the last", "[pack]") {
  for (const auto& [name, stride] : std::map<std::string, std::size_t>{{"torchao6_32", 8}, {"torchao6_64", 16}}) {
    const Bytes codes = random_codes(6, 8 * stride, 60 + stride);
    const Bytes bytes = pack(name, 6, codes);
    REQUIRE(bytes.size() == 6 * stride);
    for (std::size_t g = 0; g < 2; ++g)
      for (std::size_t i = 0; i < stride; ++i) {
        const std::uint8_t* c = codes.data() + g * 4 * stride + i;
        const std::uint8_t* b = bytes.data() + g * 3 * stride + i;
        REQUIRE(b[0] == (c[0] | (c[3 * stride] & 3) << 6));
        REQUIRE(b[stride] == (c[stride] | (c[3 * stride] >> 2 & 3) << 6));
        REQUIRE(b[2 * stride] == (c[2 * stride] | c[3 * stride] >> 4 << 6));
      }
  }
}

TEST_CASE("Every layout gives back the codes of rows of any length it accepts", "[pack]") {
  for (const PackLayout& layout : pack_layouts())
    for (const int bits : layout.bits)
      for (std::size_t length = layout.multiple; length <= 40 * layout.multiple && length <= 1024;
           length += layout.multiple) {
        CAPTURE(layout.name, bits, length);
        Bytes codes = random_codes(bits, 3 * length, length);
        if (layout.name.starts_with("t") && bits == 2)
          for (auto& code : codes) code %= 3;
        const Bytes bytes = pack_codes(layout, bits, codes, length);
        REQUIRE(bytes.size() == packed_size(layout, bits, 3, length));
        REQUIRE(unpack_codes(layout, bits, bytes, 3, length) == codes);
        Bytes extended = codes;
        for (auto& code : extended)
          if (bits < 8 && code >> (bits - 1)) code = static_cast<std::uint8_t>(code | 0xFF << bits);
        const bool plain = layout.name == "byte" || layout.name.starts_with("t");
        if (!plain) {
          REQUIRE(pack_codes(layout, bits, extended, length) == bytes);
        }
        REQUIRE(unpack_codes(layout, bits, bytes, 3, length, true) == extended);
      }
}

TEST_CASE("Trits of TQ1_0: every byte value and the incomplete last bytes", "[pack]") {
  for (unsigned t = 0; t < 243; ++t) {
    Bytes codes(256, 0);
    const unsigned digits[5] = {t / 81, t / 27 % 3, t / 9 % 3, t / 3 % 3, t % 3};
    for (std::size_t n = 0; n < 5; ++n) codes[3 + 32 * n] = static_cast<std::uint8_t>(digits[n]);
    const Bytes bytes = pack("tq1_0", 2, codes);
    REQUIRE(bytes.size() == 52);
    REQUIRE(bytes[3] == (t * 256 + 242) / 243);
    REQUIRE(unpack_codes(pack_layout("tq1_0"), 2, bytes, 1, 256) == codes);
  }
  const Bytes bytes = pack("tq1_0", 2, Bytes(256, 2));
  CHECK(bytes[0] == 255);
  CHECK(bytes[47] == 255);
  CHECK(bytes[48] == 253);  // 2222 and a zero trit: 240
}

TEST_CASE("TQ2_0 strides by 32 inside halves of 128", "[pack]") {
  Bytes codes(256, 0);
  codes[1] = 1, codes[33] = 2, codes[65] = 1, codes[97] = 2, codes[128 + 31] = 2, codes[255] = 1;
  const Bytes bytes = pack("tq2_0", 2, codes);
  CHECK(bytes[1] == 0b10011001);
  CHECK(bytes[63] == 0b01000010);
}

TEST_CASE("Swizzled scales: positions, padding, round trip", "[pack]") {
  const std::size_t rows = 130, columns = 6;
  Bytes scales(rows * columns);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<std::uint8_t>(1 + i % 255);
  const Bytes bytes = swizzle_scales(scales, rows, columns);
  REQUIRE(bytes.size() == 4 * 512);
  CHECK(bytes[0] == scales[0]);
  CHECK(bytes[1] == scales[1]);
  CHECK(bytes[16] == scales[1 * columns]);
  CHECK(bytes[4] == scales[32 * columns]);
  CHECK(bytes[31 * 16 + 12 + 3] == scales[127 * columns + 3]);
  CHECK(bytes[512 + 1] == scales[5]);
  CHECK(bytes[512 + 2] == 0);
  CHECK(bytes[1024 + 16] == scales[129 * columns]);
  CHECK(bytes[1024 + 32] == 0);
  CHECK(unswizzle_scales(bytes, rows, columns) == scales);
  CHECK_THROWS_AS(unswizzle_scales(bytes, 129 + 128, columns), Error);
  CHECK_THROWS_AS(swizzle_scales(scales, rows, columns + 1), Error);
  CHECK_THROWS_AS(swizzled_size(std::size_t{1} << 40, std::size_t{1} << 40), Error);
}

TEST_CASE("Bytes of ggml's blocks for a worked block", "[pack][ggml]") {
  // codes and scales of 7 -5 3.5 2.5 -1.75 1.25 .75 -.25 .3125 -.1 0 -0 and twenty zeros
  const auto block = [](std::string_view name, const Bytes& codes, std::uint32_t scale,
                        std::vector<std::uint32_t> minima = {}) {
    const std::uint32_t scales[] = {scale};
    const Bytes bytes = pack_ggml(ggml_block(name), codes, scales, minima);
    const auto back = unpack_ggml(ggml_block(name), bytes);
    CHECK(back.codes == codes);
    CHECK(back.scales == std::vector<std::uint32_t>{scale});
    CHECK(back.minima == minima);
    return bytes;
  };
  CHECK(head(block("q4_0", filled({0, 14, 4, 5, 10, 7, 7, 8}, 32, 8), 0xBB00), 0, 10) ==
        Bytes{0x00, 0xBB, 0x80, 0x8E, 0x84, 0x85, 0x8A, 0x87, 0x87, 0x88});
  CHECK(head(block("q4_1", filled({15, 0, 11, 9, 4, 8, 7, 6, 7}, 32, 6), 0x3A66, {0xC500}), 0, 14) ==
        Bytes{0x66, 0x3A, 0x00, 0xC5, 0x6F, 0x60, 0x6B, 0x69, 0x64, 0x68, 0x67, 0x66, 0x67, 0x66});
  CHECK(head(block("q5_0", filled({0, 27, 8, 10, 20, 13, 14, 17, 15}, 32, 16), 0xB700), 0, 16) ==
        Bytes{0x00, 0xB7, 0x92, 0xFE, 0xFF, 0xFF, 0x00, 0x0B, 0x08, 0x0A, 0x04, 0x0D, 0x0E, 0x01, 0x0F, 0x00});
  CHECK(head(block("q5_1", filled({31, 0, 22, 19, 8, 16, 15, 12, 14}, 32, 13), 0x3632, {0xC500}), 0, 18) ==
        Bytes{0x32, 0x36, 0x00, 0xC5, 0x2D, 0x00, 0x00, 0x00, 0xDF, 0xD0, 0xD6, 0xD3, 0xD8, 0xD0, 0xDF, 0xDC, 0xDE,
              0xDD});
  CHECK(head(block("q8_0", filled({127, 165, 64, 45}, 32, 0), 0x2B0E), 0, 6) == Bytes{0x0E, 0x2B, 127, 165, 64, 45});
  CHECK(head(block("mxfp4", filled({7, 0xE, 5, 4, 0xB, 2, 1, 0, 1}, 32, 0), 127), 0, 11) ==
        Bytes{127, 7, 0xE, 5, 4, 0xB, 2, 1, 0, 1, 0});
}

TEST_CASE("ggml blocks: sizes, scales of sub-blocks, scale at the end", "[pack][ggml]") {
  for (const GgmlBlock& type : ggml_blocks()) {
    CAPTURE(type.name);
    Bytes codes = random_codes(type.code_bits, 3 * type.values, 99);
    if (type.code_bits == 2)
      for (auto& code : codes) code %= 3;
    std::vector<std::uint32_t> scales(3 * type.scales), minima(type.has_minimum ? 3 : 0);
    for (std::size_t i = 0; i < scales.size(); ++i)
      scales[i] = random_word(1, 2, i) & (type.scale_bytes == 2 ? 0xFFFF : 0xFF);
    for (std::size_t i = 0; i < minima.size(); ++i) minima[i] = random_word(1, 3, i) & 0xFFFF;
    const Bytes bytes = pack_ggml(type, codes, scales, minima);
    REQUIRE(bytes.size() == 3 * type.bytes);
    const std::size_t at = type.code_bits == 2 ? type.bytes - 2 : 0;
    for (std::size_t s = 0; s < type.scales; ++s)
      CHECK(bytes[at + s] == (type.scale_bytes == 2 ? scales[0] & 0xFF : scales[s]));
    const auto back = unpack_ggml(type, bytes);
    CHECK(back.codes == codes);
    CHECK(back.scales == scales);
    CHECK(back.minima == minima);
    CHECK_THROWS_AS(unpack_ggml(type, std::span(bytes).first(bytes.size() - 1)), Error);
    CHECK_THROWS_AS(pack_ggml(type, std::span(codes).first(type.values - 1), scales, minima), Error);
    CHECK_THROWS_AS(pack_ggml(type, std::span(codes).first(type.values), scales, minima), Error);
    scales[0] = 0x10000;
    CHECK_THROWS_AS(pack_ggml(type, codes, scales, minima), Error);
  }
}

TEST_CASE("Sizes and codes that do not fit are refused", "[pack]") {
  const Bytes codes(8, 1);
  CHECK_THROWS_AS(pack_layout("nibbles"), Error);
  CHECK_THROWS_AS(pack_codes(pack_layout("nibble_low_first"), 6, codes, 8), Error);
  CHECK_THROWS_AS(pack_codes(pack_layout("ggml"), 4, codes, 8), Error);
  CHECK_THROWS_AS(pack_codes(pack_layout("byte"), 8, codes, 3), Error);
  CHECK_THROWS_AS(pack_codes(pack_layout("byte"), 8, codes, 0), Error);
  CHECK_THROWS_AS(pack("nibble_low_first", 4, {0x10}), Error);
  CHECK_THROWS_AS(pack("nibble_low_first", 4, {0xF7}), Error);  // no extension of a negative code
  CHECK_THROWS_AS(unpack_codes(pack_layout("dense6"), 6, codes, 1, 4), Error);
  CHECK_THROWS_AS(packed_size(pack_layout("byte"), 8, std::size_t{1} << 40, std::size_t{1} << 40), Error);
  CHECK(pack("dense6", 6, {}).empty());
}
