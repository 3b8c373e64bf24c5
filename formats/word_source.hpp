// Random words of the values of a tensor for stochastic rounding: word number = flat index in the whole tensor.
#pragma once
#include <array>
#include <cstdint>

#include "formats/block.hpp"
#include "formats/random.hpp"

namespace lowbit {

class WordSource {
 public:
  WordSource(const Format& format, const QuantizeContext& context)
      : seed_(format.seed),
        stream_(context.stream),
        first_(context.first_index),
        wanted_(format.conversion.rounding == Rounding::sr) {}

  bool wanted() const { return wanted_; }

  /// Word of value `index` of this call, 0 where the rounding needs none; neighbours share one draw of four.
  std::uint32_t operator()(std::size_t index) {
    if (!wanted_) return 0;
    const std::uint64_t i = first_ + index;
    if (!drawn_ || i / 4 != block_) {
      words_ = philox(seed_, stream_, i / 4);
      block_ = i / 4;
      drawn_ = true;
    }
    return words_[i % 4];
  }

 private:
  std::uint64_t seed_, stream_, first_, block_ = 0;
  bool wanted_, drawn_ = false;
  std::array<std::uint32_t, 4> words_{};
};

}  // namespace lowbit
