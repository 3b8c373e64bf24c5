#include "formats/rotate.hpp"

#include <algorithm>
#include <cassert>
#include <vector>

#include "formats/kernels/kernels.hpp"
#include "formats/primitives.hpp"

namespace lowbit {

void rotate_quantize_ref(const Format& format, const Layout& layout, const Rotation& rotation, const float* x, float* y,
                         const QuantizeContext& context) {
  assert(layout.inner() == 1 && layout.length() % rotation.n == 0);
  const std::size_t blocks = layout.size() / rotation.n;
  hadamard_ref(x, y, rotation.n, blocks, rotation.signs, false);
  fake_quantize_ref(format, layout, y, y, context);
  if (rotation.back) hadamard_ref(y, y, rotation.n, blocks, rotation.signs, true);
}

void rotate_quantize(const Format& format, const Layout& layout, const Rotation& rotation, const float* x, float* y,
                     const QuantizeContext& context) {
  assert(layout.inner() == 1 && layout.length() % rotation.n == 0);
  if (kernels::rotate_quantize(format, layout, rotation, x, y, context)) return;
  const std::size_t blocks = layout.size() / rotation.n;
  hadamard(x, y, rotation.n, blocks, rotation.signs, false);
  fake_quantize(format, layout, y, y, context);
  if (rotation.back) hadamard(y, y, rotation.n, blocks, rotation.signs, true);
}

float rotated_amax(const float* x, std::size_t n, std::size_t blocks, const float* signs) {
  constexpr std::size_t kStrip = 4096;  // values: with what is fetched meanwhile it fits a first-level cache
  const std::size_t strip = n < kStrip ? kStrip / n : 1;
  std::vector<float> buffer(strip * n);
  float amax = 0;
  for (std::size_t b = 0; b < blocks; b += strip) {
    const std::size_t count = std::min(strip, blocks - b);
    hadamard(x + b * n, buffer.data(), n, count, signs, false);
    amax = std::max(amax, finite_amax(buffer.data(), count * n));
  }
  return amax;
}

}  // namespace lowbit
