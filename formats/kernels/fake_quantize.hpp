// What the block kernels are told: a format boiled down to numbers.
#pragma once
#include <cstddef>

#include "formats/block.hpp"
#include "formats/kernels/element_params.hpp"

namespace lowbit {
class BlockQuantizer;
}

namespace lowbit::kernels {

struct BlockPlan {
  enum Scaler { kPowerOfTwo, kQuotient, kTwoLevel } scaler = kPowerOfTwo;
  ElementParams element;
  Rounding rounding = Rounding::rne;  ///< rne or rna
  std::size_t group = 32;             ///< a multiple of lane_count()
  PowerOfTwoRule rule;                ///< kPowerOfTwo
  float divisor = 1;                  ///< amax / divisor is the scale
  float second = 1;                   ///< kTwoLevel: G
  bool rounds_scale = false;          ///< to scale_element, to nearest even
  ElementParams scale_element;
  float scale_low = 0, scale_high = 0;  ///< ordinary quotients lie in [low, high)
  bool stream = false;                ///< y is aligned and larger than the caches: store past them
  /// Quantises one block the reference's way.
  void (*reference)(const BlockPlan& plan, const float* x, float* y, std::size_t n) = nullptr;
  const BlockQuantizer* quantizer = nullptr;
};

void run_blocks(const BlockPlan& plan, const float* x, float* y, std::size_t blocks);
std::size_t lane_count();

}  // namespace lowbit::kernels
