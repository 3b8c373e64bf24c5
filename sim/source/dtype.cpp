#include "sim/source/dtype.hpp"

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <vector>

#include "formats/codec.hpp"

namespace lowbit {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian and values are copied as they lie");

struct Row {
  DType dtype;
  std::string_view name;
  std::size_t bytes;
  std::string_view element;  // decoded by its table; empty: the machine's own type
};
constexpr std::array<Row, 7> kRows{{{DType::f64, "float64", 8, ""},
                                    {DType::f32, "float32", 4, ""},
                                    {DType::f16, "float16", 2, "fp16"},
                                    {DType::bf16, "bfloat16", 2, "bf16"},
                                    {DType::f8_e4m3, "float8_e4m3", 1, "e4m3"},
                                    {DType::f8_e5m2, "float8_e5m2", 1, "e5m2"},
                                    {DType::other, "other", 0, ""}}};

const Row& row(DType dtype) {
  return kRows[static_cast<std::size_t>(dtype)];
}

std::vector<float> make_table(std::string_view name) {
  const Element& e = element(name);
  std::vector<float> table(std::size_t{1} << e.bits);
  for (std::uint32_t code = 0; code < table.size(); ++code) table[code] = decode(e, code);
  return table;
}

const std::vector<float>& decode_table(DType dtype) {
  static const std::vector<float> fp16 = make_table("fp16"), bf16 = make_table("bf16"), e4m3 = make_table("e4m3"),
                                  e5m2 = make_table("e5m2");
  switch (dtype) {
    case DType::f16:
      return fp16;
    case DType::bf16:
      return bf16;
    case DType::f8_e4m3:
      return e4m3;
    default:
      return e5m2;
  }
}

template <class Stored, class Out>
void copy_native(const std::byte* bytes, std::span<Out> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, bytes + i * sizeof(Stored), sizeof(Stored));
    out[i] = static_cast<Out>(value);
  }
}

template <class Code, class Out>
void copy_decoded(const std::vector<float>& table, const std::byte* bytes, std::span<Out> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Code code;
    std::memcpy(&code, bytes + i * sizeof(Code), sizeof(Code));
    out[i] = table[code];
  }
}

template <class Out>
void widen_to(DType dtype, std::span<const std::byte> bytes, std::span<Out> out) {
  assert(dtype != DType::other && bytes.size() == out.size() * byte_size(dtype));
  if (dtype == DType::f64)
    copy_native<double>(bytes.data(), out);
  else if (dtype == DType::f32)
    copy_native<float>(bytes.data(), out);
  else if (byte_size(dtype) == 2)
    copy_decoded<std::uint16_t>(decode_table(dtype), bytes.data(), out);
  else
    copy_decoded<std::uint8_t>(decode_table(dtype), bytes.data(), out);
}

}  // namespace

std::string_view to_string(DType dtype) {
  return row(dtype).name;
}

std::size_t byte_size(DType dtype) {
  return row(dtype).bytes;
}

std::string accepted_dtypes() {
  std::string text;
  for (const Row& r : kRows)
    if (r.bytes) text += (text.empty() ? "" : ", ") + std::string(r.name);
  return text;
}

void widen(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  widen_to(dtype, bytes, out);
}
void widen(DType dtype, std::span<const std::byte> bytes, std::span<double> out) {
  widen_to(dtype, bytes, out);
}

}  // namespace lowbit
