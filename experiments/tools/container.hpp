// Containers: how published code lays the split form of a tensor into the tensors of a .safetensors file.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/block.hpp"
#include "sim/source/safetensors.hpp"

namespace lowbit {

/// Tensors of a container by what they hold; which ones there are depends on the container.
struct Packed {
  std::vector<std::uint8_t> codes;  ///< packed rows, one after the other
  Shape codes_shape;  ///< leading axes of the tensor, then bytes a row (and what the container splits it into)
  std::vector<std::uint8_t> scales, zero_points;  ///< little-endian, in the container's order
  Shape scales_shape;
  std::optional<float> tensor_scale;
};

/// One container. All of them hold tensors that were quantised along their last axis.
struct Container {
  std::string name;         ///< value of --layout
  std::string description;  ///< one line
  std::string source;
  std::string formats;  ///< a format name whose element, groups and scales the codes must have; empty: any
  std::string codes_suffix, scales_suffix, tensor_scale_suffix, zero_points_suffix;  ///< appended to the tensor's name
  std::string scales_dtype;  ///< safetensors type of the scales; empty: U8, U16 or F32 by their width

  Packed (*pack)(const Container&, const Quantized&);
  /// Fills codes, scales and zero points of `q`, whose format and layout are set.
  void (*unpack)(const Container&, const Packed&, Quantized& q);
  /// Length of the last axis that codes of that shape stand for; 0 where it must be told.
  std::size_t (*row_length)(const Container&, const Format&, const Shape& codes_shape);
};

/// gpt_oss_mxfp4, modelopt_nvfp4, compressed_tensors_nvfp4, ggml_*, blocked_128x4, and one for each layout of codes in
/// formats/pack.hpp.
const std::vector<Container>& containers();
/// Error (usage) for an unknown name: lists the known.
const Container& container(std::string_view name);

/// Error (usage) unless the container can hold what `format` makes.
void check_holds(const Container& container, const Format& format);

}  // namespace lowbit
