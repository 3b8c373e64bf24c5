#include "formats/pack_ggml.hpp"

#include <algorithm>
#include <string>

#include "formats/error.hpp"
#include "formats/pack.hpp"

namespace lowbit {
namespace {

constexpr GgmlBlock kBlocks[] = {
    {"q4_0", 32, 18, 1, 2, false, 4},  {"q4_1", 32, 20, 1, 2, true, 4},    {"q5_0", 32, 22, 1, 2, false, 5},
    {"q5_1", 32, 24, 1, 2, true, 5},   {"q8_0", 32, 34, 1, 2, false, 8},   {"mxfp4", 32, 17, 1, 1, false, 4},
    {"nvfp4", 64, 36, 4, 1, false, 4}, {"tq2_0", 256, 66, 1, 2, false, 2}, {"tq1_0", 256, 54, 1, 2, false, 2},
};

/// Layout of the low (at most 4) bits of the codes.
const PackLayout& code_layout(const GgmlBlock& type) {
  if (type.name == "tq2_0" || type.name == "tq1_0") return pack_layout(type.name);
  if (type.code_bits == 8) return pack_layout("byte");
  return pack_layout(type.name == "nvfp4" ? "ggml_nvfp4" : "ggml");
}

int layout_bits(const GgmlBlock& type) {
  return type.code_bits == 5 ? 4 : type.code_bits;
}

/// Offsets of the parts of a block: scales first but for TQ, then the minimum, then the fifth bits, then the codes.
struct Parts {
  std::size_t scale, minimum, fifth, codes, code_bytes;
};
Parts parts(const GgmlBlock& type) {
  const std::size_t code_bytes = packed_size(code_layout(type), layout_bits(type), 1, type.values);
  const std::size_t scale_bytes = type.scales * type.scale_bytes;
  if (type.name == "tq2_0" || type.name == "tq1_0") return {code_bytes, 0, 0, 0, code_bytes};
  const std::size_t fifth = scale_bytes + (type.has_minimum ? 2 : 0);
  return {0, scale_bytes, fifth, fifth + (type.code_bits == 5 ? 4 : 0), code_bytes};
}

void put(std::uint8_t* bytes, int width, std::uint32_t value) {
  for (int i = 0; i < width; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

void check_width(std::span<const std::uint32_t> values, int width, std::string_view what) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] >> (8 * width))
      throw_error(ExitCode::bad_data, "{} 0x{:X} at index {}: does not fit {} bytes", what, values[i], i, width);
}

std::uint32_t get(const std::uint8_t* bytes, int width) {
  std::uint32_t value = 0;
  for (int i = 0; i < width; ++i) value |= static_cast<std::uint32_t>(bytes[i]) << (8 * i);
  return value;
}

void put_codes(const GgmlBlock& type, const Parts& at, std::span<const std::uint8_t> codes, std::uint8_t* block) {
  std::vector<std::uint8_t> low(codes.begin(), codes.end());
  std::uint32_t fifth = 0;
  for (std::size_t i = 0; i < low.size(); ++i) {
    if (type.code_bits < 8 && low[i] >> type.code_bits)
      throw_error(ExitCode::bad_data, "{} code 0x{:02X} at index {}: does not fit {} bits", type.name, low[i], i,
                  type.code_bits);
    if (type.code_bits != 5) continue;
    fifth |= static_cast<std::uint32_t>(low[i] >> 4) << i;
    low[i] &= 0xF;
  }
  const auto bytes = pack_codes(code_layout(type), layout_bits(type), low, low.size());
  std::copy(bytes.begin(), bytes.end(), block + at.codes);
  if (type.code_bits == 5) put(block + at.fifth, 4, fifth);
}

}  // namespace

std::span<const GgmlBlock> ggml_blocks() {
  return kBlocks;
}

const GgmlBlock& ggml_block(std::string_view name) {
  std::string known;
  for (const GgmlBlock& block : kBlocks) {
    if (block.name == name) return block;
    known += (known.empty() ? "" : ", ") + std::string(block.name);
  }
  throw_error(ExitCode::usage, "unknown ggml block '{}': known are {}", name, known);
}

std::vector<std::uint8_t> pack_ggml(const GgmlBlock& type, std::span<const std::uint8_t> codes,
                                    std::span<const std::uint32_t> scales, std::span<const std::uint32_t> minima) {
  if (codes.size() % type.values != 0)
    throw_error(ExitCode::bad_data, "ggml {}: {} codes, accepted are multiples of {}", type.name, codes.size(),
                type.values);
  const std::size_t blocks = codes.size() / type.values;
  if (scales.size() != blocks * type.scales || minima.size() != (type.has_minimum ? blocks : 0))
    throw_error(ExitCode::bad_data, "ggml {}: {} scales and {} minima for {} blocks, expected {} and {}", type.name,
                scales.size(), minima.size(), blocks, blocks * type.scales, type.has_minimum ? blocks : 0);
  check_width(scales, type.scale_bytes, "scale");
  check_width(minima, 2, "minimum");
  const Parts at = parts(type);
  std::vector<std::uint8_t> bytes(blocks * type.bytes, 0);
  for (std::size_t b = 0; b < blocks; ++b) {
    std::uint8_t* block = bytes.data() + b * type.bytes;
    for (std::size_t s = 0; s < type.scales; ++s)
      put(block + at.scale + s * type.scale_bytes, type.scale_bytes, scales[b * type.scales + s]);
    if (type.has_minimum) put(block + at.minimum, 2, minima[b]);
    put_codes(type, at, codes.subspan(b * type.values, type.values), block);
  }
  return bytes;
}

GgmlContents unpack_ggml(const GgmlBlock& type, std::span<const std::uint8_t> bytes) {
  if (bytes.size() % type.bytes != 0)
    throw_error(ExitCode::bad_data, "ggml {}: {} bytes, accepted are multiples of {}", type.name, bytes.size(),
                type.bytes);
  const Parts at = parts(type);
  GgmlContents out;
  for (std::size_t start = 0; start < bytes.size(); start += type.bytes) {
    const std::uint8_t* block = bytes.data() + start;
    for (std::size_t s = 0; s < type.scales; ++s)
      out.scales.push_back(get(block + at.scale + s * type.scale_bytes, type.scale_bytes));
    if (type.has_minimum) out.minima.push_back(get(block + at.minimum, 2));
    auto codes = unpack_codes(code_layout(type), layout_bits(type), bytes.subspan(start + at.codes, at.code_bytes), 1,
                              type.values);
    if (type.code_bits == 5) {
      const std::uint32_t fifth = get(block + at.fifth, 4);
      for (std::size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<std::uint8_t>(codes[i] | (fifth >> i & 1u) << 4);
    }
    out.codes.insert(out.codes.end(), codes.begin(), codes.end());
  }
  return out;
}

}  // namespace lowbit
