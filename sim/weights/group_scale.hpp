// The scale of one group of a grid: by the format's own rule, or rounded from a wanted one.
#pragma once
#include <cstddef>
#include <optional>

#include "formats/block_quantizer.hpp"

namespace lowbit::weights {

/// A scale as groups use it and as it is stored.
struct GroupScale {
  GroupState state;
  std::uint32_t code = 0;
};

/// Scales of a format (like= none or fp_quant) for one matrix.
class GroupScales {
 public:
  /// tensor_amax: of the matrix, for second-level scales.
  GroupScales(const Format& format, float tensor_amax);

  /// Codes values under the states below; under like= a format with float scales and the same arithmetic.
  const BlockQuantizer& quantizer() const { return *quantizer_; }
  std::shared_ptr<const BlockQuantizer> shared_quantizer() const { return quantizer_; }
  /// Second-level scale that is stored (fp_quant: its reciprocal, as there), if any.
  std::optional<float> tensor_scale() const { return tensor_scale_; }
  /// What block scale codes are multiplied by.
  float multiplier() const;
  void set_tensor_scale(float multiplier);  ///< formats without like=

  bool power_of_two() const { return format_.scale_element->kind == ElementKind::exponent; }
  /// max |x| over the divisor of the element, not rounded.
  float unrounded(const float* x, std::size_t n) const;
  GroupScale absmax(const float* x, std::size_t n) const;
  /// s > 0 rounded to the scale element.
  GroupScale rounded(double s) const;
  GroupScale from_code(std::uint32_t code) const;

 private:
  GroupScale plain(float s, std::uint32_t code) const;

  Format format_;
  bool fp_quant_;
  std::optional<float> tensor_scale_;
  std::shared_ptr<const BlockQuantizer> quantizer_;
};

/// The format that codes values for like=fp_quant once scales are floats.
Format inner_format(const Format& format);

}  // namespace lowbit::weights
