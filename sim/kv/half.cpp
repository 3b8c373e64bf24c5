#include "sim/kv/half.hpp"

#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define LOWBIT_KV_F16C 1
#endif

namespace lowbit::kv {
namespace {

void one_by_one(const unsigned char* codes, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t code;
    std::memcpy(&code, codes + 2 * i, sizeof code);
    y[i] = half_value(code);
  }
}

#ifdef LOWBIT_KV_F16C
__attribute__((target("avx,f16c"))) void by_f16c(const unsigned char* codes, std::size_t n, float* y) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 2 * i))));
  one_by_one(codes + 2 * i, n - i, y + i);
}
#endif

}  // namespace

void half_values(const void* codes, std::size_t n, float* y) {
  const auto* bytes = static_cast<const unsigned char*>(codes);
#ifdef LOWBIT_KV_F16C
  static const bool has = __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");
  if (has) return by_f16c(bytes, n, y);
#endif
  one_by_one(bytes, n, y);
}

}  // namespace lowbit::kv
