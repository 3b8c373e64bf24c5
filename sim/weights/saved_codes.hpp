// The codes of a model's linear layers in one .safetensors file: each layer's tensors as the container "dense" of
// `lowbit pack` has them, so that `lowbit unpack --layout dense --input FILE:LAYER.weight` reads them too.
//
//   LAYER.weight_codes         U8, out x bytes a row: codes side by side, low bits first, rows from a whole byte on
//   LAYER.weight_scales        U8, U16 or U32, out x groups: codes of the scales, of fp32 the bits
//   LAYER.weight_zero_points   likewise, where the format has them
//   LAYER.weight_tensor_scale  F32, where the format has a second-level scale
#pragma once
#include <map>
#include <string>
#include <vector>

#include "formats/block.hpp"
#include "sim/source/safetensors.hpp"

namespace lowbit::weights {

class CodesWriter {
 public:
  /// Packs the codes of one layer, quantised along its inputs.
  void add(const std::string& layer, const Quantized& codes);
  bool empty() const { return entries_.empty(); }
  /// Format of a layer's codes, "" where there are none.
  std::string format_of(const std::string& layer) const;
  /// The bytes of the file.
  std::string file() const;

 private:
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, std::string> formats_;
};

class CodesReader {
 public:
  /// Error: as open_safetensors.
  explicit CodesReader(const std::string& path);
  /// The split form of a layer. Error (bad_data): tensors that are missing or do not have the sizes of the format.
  Quantized read(const std::string& layer, const std::string& format, std::size_t rows, std::size_t columns) const;

 private:
  std::vector<std::uint32_t> side(const std::string& name, const Element& element, std::size_t count) const;
  const StoredTensor& need(const std::string& name) const;

  std::string path_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace lowbit::weights
