// Values that lie beyond what their block can express.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/block.hpp"
#include "formats/block_quantizer.hpp"

namespace lowbit {

/// Counts the values of x that are cut: their code is an end of the element's range and stands for less than they are,
/// or their value became infinite. x holds no NaN and no Inf.
class ClipCounter {
 public:
  explicit ClipCounter(const Format& format);
  /// q: the split form of x; y: its values.
  std::size_t count(const Layout& layout, const float* x, const float* y, const Quantized& q) const;

 private:
  using Ends = std::array<float, 2>;  ///< the largest values of a group, as magnitudes: positive, negative
  bool by_codes() const;
  std::size_t count_codes(std::size_t n, const float* x, const float* y, const Quantized& q) const;
  void find_ends(const Quantized& q, std::vector<float>& high, std::vector<float>& low) const;
  bool is_end(std::uint32_t code) const;

  Format format_;
  float top_;
  std::array<std::uint32_t, 2> end_codes_{};  ///< of the largest and the least value
};

}  // namespace lowbit
