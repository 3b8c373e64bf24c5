// The safetensors container: an 8-byte little-endian header length, a JSON header, one buffer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/source/stored_tensor.hpp"

namespace lowbit {

/// All tensors in the order in which they lie in the file. F64, F32, F16, BF16, F8_E4M3 and F8_E5M2 can be loaded as
/// values; the other types of the format are listed and refused when they are loaded.
/// Error (bad_data): header over 100 MB or beyond the file, invalid JSON, repeated key, unknown dtype, shape whose size
/// overflows or differs from the offsets, holes or overlaps in the buffer, a buffer that is not the rest of the file.
std::vector<StoredTensor> open_safetensors(const std::string& path);

/// A tensor to be written: `dtype` is the format's own name ("U8", "F32", "F8_E4M3").
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  Shape shape;
  std::vector<std::uint8_t> bytes;
};
/// The bytes of a file that holds `entries` in the given order and `metadata` (JSON object text of strings, may be
/// empty).
std::string safetensors_file(const std::vector<SafetensorsEntry>& entries, const std::string& metadata);

}  // namespace lowbit
