// The block types of ggml: which of our formats each is, and its coder and decoder for one block (one sub-block of
// NVFP4).
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "formats/like/groups.hpp"

namespace lowbit::like {

struct GgmlType {
  std::string_view name;
  std::string_view element;  ///< of our table
  bool has_minimum;          ///< blocks store a minimum beside the scale
  std::string_view scale_element;
  std::size_t group;         ///< values that share a scale
  std::size_t row_multiple;  ///< rows are whole blocks (NVFP4: sub-blocks, which do not depend on each other)
  IntegerRange range;
  Rounding rounding;              ///< how codes are rounded; rna also stands for Q4 and Q5, whose halves go up
  void (*quantize)(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group);
  void (*dequantize)(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group, float* y);
};

std::span<const GgmlType> ggml_types();
/// The type that has this element, minimum and kind of scale, or nullptr.
const GgmlType* ggml_type_of(const Format& format);

// Linear types: code * d, or code * d + m. Integer codes are signed (q4_0: stored nibble - 8), those with a minimum
// unsigned. d and m are stored as fp16, codes are made with the float32 d.
void ggml_quantize_signed(const Format& format, float, std::span<const float> x, std::uint8_t* codes,
                          GroupCodes& group);
void ggml_quantize_minimum(const Format& format, float, std::span<const float> x, std::uint8_t* codes,
                           GroupCodes& group);
void ggml_quantize_q8_0(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group);
void ggml_quantize_q8_0_avx(const Format& format, float, std::span<const float> x, std::uint8_t* codes,
                            GroupCodes& group);
void ggml_quantize_ternary(const Format& format, float, std::span<const float> x, std::uint8_t* codes,
                           GroupCodes& group);
void ggml_dequantize_linear(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group,
                            float* y);

// E2M1 types.
void ggml_quantize_mxfp4(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group);
void ggml_dequantize_mxfp4(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group,
                           float* y);
void ggml_quantize_nvfp4(const Format& format, float, std::span<const float> x, std::uint8_t* codes, GroupCodes& group);
void ggml_dequantize_nvfp4(const Format& format, float, std::span<const std::uint8_t> codes, GroupCodes group,
                           float* y);

}  // namespace lowbit::like
