// The pipelines of the block formats: scale of a group, codes of its values, values of its codes. One implementation
// for each family; block.cpp drives them over tensors.
#pragma once
#include <array>
#include <memory>
#include <optional>

#include "formats/codec.hpp"
#include "formats/format.hpp"

namespace lowbit {

/// What coding and decoding the values of one group need.
struct GroupState {
  std::uint32_t scale_code = 0;
  std::uint32_t zero_code = 0;
  enum Kind {
    regular,
    zero,     ///< the effective scale is 0, or an E8M0 group holds zeros alone: codes of +0
    poisoned  ///< holds NaN or Inf under NanPolicy::poison: NaN scale, codes 0
  } kind = regular;
  double step = 0;              ///< factor of decoding, exact: scale times second-level scale times implicit factor
  float divisor = 1;            ///< float32 scale that values are divided by
  double inverse = 0;           ///< 1 / step of a power-of-two scale, which the values are multiplied by exactly
  float minimum = 0;            ///< ZeroPoint::minimum
  std::int64_t zero_point = 0;  ///< ZeroPoint::integer
  bool halved = false;          ///< the range of the group exceeds FLT_MAX: coded at half scale
  double threshold = 0;         ///< TWN: magnitudes above it are +-1
};

class BlockQuantizer {
 public:
  virtual ~BlockQuantizer() = default;
  /// Scale (and zero point) of a group of n values.
  virtual GroupState begin(const float* x, std::size_t n) const = 0;
  /// Codes of values of the group. words: one random word a value for Rounding::sr, else nullptr.
  virtual void encode(const GroupState& state, const float* x, std::size_t n, const std::uint32_t* words,
                      std::uint32_t* codes) const = 0;
  /// State from stored codes, good for decode() alone.
  virtual GroupState restore(std::uint32_t scale_code, std::uint32_t zero_code) const = 0;
  virtual void decode(const GroupState& state, const std::uint32_t* codes, std::size_t n, float* y) const = 0;
};

/// The pipeline of a block format without like= (any that parse_format returns); `tensor_scale` as made by
/// second_level_scale.
std::unique_ptr<BlockQuantizer> make_block_quantizer(const Format& format, std::optional<float> tensor_scale);

/// Second-level scale from the tensor's largest finite magnitude: fl(amax / fl(max * scale max)), 2688 for NVFP4, in
/// float32; for ts=e8m0 2^ceil(log2(amax / (max * scale max))) clamped to 2^-127..2^127. nullopt without ts.
std::optional<float> second_level_scale(const Format& format, float amax);

/// The value that amax is divided by to make the scale: the largest value of the element, 2^(b-1) or (2^b-1)/2 under
/// range=pow2 or half.
float scale_divisor(const Format& format);

/// The element whose codes are emitted: integers reach -2^(b-1) under every range but symmetric.
const Element& coded_element(const Format& format);

/// Largest magnitude over the finite values of a group, and whether others occur.
struct GroupMaximum {
  float amax = 0;
  bool special = false;
};
GroupMaximum group_maximum(const float* x, std::size_t n);

/// A floating scale: q >= 0 rounded to nearest even into the scale element, saturating.
template <class Float>
std::uint32_t encode_scale(const Element& scale_element, Float q) {
  return encode(scale_element, q, {Rounding::rne, Overflow::sat});
}

/// a * b rounded once to float, for any two doubles whose product is a normal double.
float round_product(double a, double b);

/// value of each code of an element of at most 8 bits, NaN for codes beyond a codebook; empty for wider elements.
class DecodeTable {
 public:
  explicit DecodeTable(const Element& element);
  double operator()(std::uint32_t code) const {
    return narrow_ ? values_[code & 0xFFu] : static_cast<double>(decode(*element_, code));
  }

 private:
  const Element* element_;
  bool narrow_;
  std::array<double, 256> values_{};
};

std::unique_ptr<BlockQuantizer> make_scaled_quantizer(const Format& format, std::optional<float> tensor_scale);
std::unique_ptr<BlockQuantizer> make_shifted_quantizer(const Format& format);
std::unique_ptr<BlockQuantizer> make_ternary_quantizer(const Format& format);

}  // namespace lowbit
