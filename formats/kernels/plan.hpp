// What the block kernels are told: a format boiled down to numbers.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>

#include "formats/block_quantizer.hpp"
#include "formats/codec.hpp"
#include "formats/kernels/element_params.hpp"

namespace lowbit::kernels {

/// How the scale of a group is made.
enum class Scaler {
  power_of_two,  ///< E8M0
  quotient,      ///< fl(amax / divisor), rounded to the scale element
  two_level,     ///< as quotient of amax / (divisor * G), times G
  asymmetric,    ///< integers from 0 with an integer zero point
  minimum,       ///< integers from 0 above a stored minimum
  ternary        ///< -1, 0, 1
};

struct BlockPlan {
  Scaler scaler = Scaler::power_of_two;
  ScaleRule ternary_rule = ScaleRule::twn;
  ElementParams element;
  Rounding rounding = Rounding::rne;  ///< rne, rna or sr
  std::size_t group = 32;             ///< values of a whole group
  PowerOfTwoRule rule;                ///< power_of_two
  float divisor = 1;                  ///< amax (extent of the range) / divisor is the scale
  float second = 1;                   ///< two_level: G
  bool rounds_scale = false;          ///< to scale_element, to nearest even
  ElementParams scale_element;
  ElementParams zero_element;  ///< minimum
  bool rounds_zero = false;
  float scale_low = 0, scale_high = 0;        ///< ordinary quotients lie in [low, high)
  int zero_code = 0;                          ///< code of +0
  bool stream = false;                        ///< y is aligned and larger than the caches: store past them
  std::uint64_t seed = 0, stream_number = 0;  ///< sr
  const Element* scale_source = nullptr;      ///< element of the scale codes
  const Element* zero_source = nullptr;       ///< minimum: element of the zero codes
  std::array<float, 256> scale_of{};          ///< factor of each scale code of at most 8 bits
  bool sign_extends = false;                  ///< codes are kept in two's complement of the whole byte
  /// The reference, for unusual groups: made when the first of them comes.
  const BlockQuantizer& reference() const;

  Format format;
  std::optional<float> tensor_scale;

 private:
  mutable std::once_flag made_;
  mutable std::unique_ptr<BlockQuantizer> quantizer_;
};

/// Whether kernels cover the format's elements, scales and rounding; fills the plan except for its group and `stream`.
/// `tensor_scale` as made by second_level_scale.
bool make_plan(const Format& format, std::optional<float> tensor_scale, std::uint64_t stream_number, BlockPlan& plan);
/// What decoding needs besides.
void plan_decoding(const Format& format, BlockPlan& plan);

/// The reference's way with one group of n values; value i has the flat index `index` + i * `stride` in the whole
/// tensor.
void reference_group(const BlockPlan& plan, const float* x, float* y, std::size_t n, std::uint64_t index,
                     std::size_t stride = 1);

}  // namespace lowbit::kernels
