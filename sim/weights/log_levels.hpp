// 256 log-uniform scale levels: the scales of MXFP4-dagger.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "sim/model/tensor.hpp"

namespace lowbit::weights {

/// Scales 2^(alpha q + beta), q = 0 .. 255. MR-GPTQ, arXiv:2509.23202, appendix H, eq. 2 (which leaves out the 1/255).
struct LogLevels {
  static constexpr int kLevels = 256;
  double alpha = 0, beta = 0;

  /// Levels from the smallest to the largest positive scale; without one, the single level 1.
  static LogLevels fit(std::span<const float> scales);
  /// The same spacing, moved so that the top level is `largest` (> 0). The operands of a product share alpha; where the
  /// activation's levels lie is not stated in the paper: they cover the largest scale that calibration showed.
  LogLevels ending_at(float largest) const;
  /// q of a scale: nearest level in log2, clamped to 0 .. 255; 0 for scales of 0.
  std::uint8_t code(float scale) const;
  float value(std::uint8_t code) const;
};

/// max |x| / 6 of each group of 32 neighbours: the scales that levels are fitted to, row by row.
void absmax_scales(model::ConstRows rows, std::size_t group, float* scales);

/// E2M1 values of groups of `group` neighbours under levels, in place.
void quantise_log(const LogLevels& levels, std::size_t group, model::Rows rows);

}  // namespace lowbit::weights
