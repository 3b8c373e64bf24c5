#include "sim/weights/log_levels.hpp"

#include <algorithm>
#include <cmath>

#include "formats/codec.hpp"
#include "formats/element.hpp"

namespace lowbit::weights {

LogLevels LogLevels::fit(std::span<const float> scales) {
  float low = 0, high = 0;
  for (const float s : scales) {
    if (s <= 0) continue;
    low = low == 0 ? s : std::min(low, s);
    high = std::max(high, s);
  }
  if (high == 0) return {};
  const double bottom = std::log2(static_cast<double>(low)), top = std::log2(static_cast<double>(high));
  return {(top - bottom) / (kLevels - 1), bottom};
}

LogLevels LogLevels::ending_at(float largest) const {
  return {alpha, std::log2(static_cast<double>(largest)) - alpha * (kLevels - 1)};
}

std::uint8_t LogLevels::code(float scale) const {
  if (!(scale > 0) || alpha == 0) return 0;
  const double q = std::nearbyint((std::log2(static_cast<double>(scale)) - beta) / alpha);
  return static_cast<std::uint8_t>(std::clamp(q, 0.0, static_cast<double>(kLevels - 1)));
}

float LogLevels::value(std::uint8_t code) const {
  return static_cast<float>(std::exp2(alpha * code + beta));
}

void absmax_scales(model::ConstRows rows, std::size_t group, float* scales) {
  for (std::size_t i = 0; i < rows.rows; ++i)
    for (std::size_t first = 0; first < rows.columns; first += group) {
      const std::size_t n = std::min(group, rows.columns - first);
      float amax = 0;
      for (std::size_t c = first; c < first + n; ++c) amax = std::max(amax, std::abs(rows.row(i)[c]));
      *scales++ = amax / 6.0f;
    }
}

void quantise_log(const LogLevels& levels, std::size_t group, model::Rows rows) {
  const Element& e2m1 = element("e2m1");
  for (std::size_t i = 0; i < rows.rows; ++i)
    for (std::size_t first = 0; first < rows.columns; first += group) {
      const std::size_t n = std::min(group, rows.columns - first);
      float* x = rows.row(i) + first;
      float amax = 0;
      for (std::size_t c = 0; c < n; ++c) amax = std::max(amax, std::abs(x[c]));
      if (amax == 0) continue;
      const float scale = levels.value(levels.code(amax / 6.0f));
      for (std::size_t c = 0; c < n; ++c) x[c] = round_to(e2m1, x[c] / scale) * scale;
    }
}

}  // namespace lowbit::weights
