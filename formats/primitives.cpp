#include "formats/primitives.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/random.hpp"

namespace lowbit {

float amax_ref(const float* x, std::size_t n) {
  float amax = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return std::numeric_limits<float>::quiet_NaN();
    amax = std::max(amax, std::fabs(x[i]));
  }
  return amax;
}

void random_signs(float* signs, std::size_t n, std::uint64_t seed, std::uint64_t stream) {
  for (std::size_t i = 0; i < n; ++i) signs[i] = random_word(seed, stream, i) >> 31 ? -1.0f : 1.0f;
}

}  // namespace lowbit
