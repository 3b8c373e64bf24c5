// Where quantised values go: floats, or codes of one byte. Included once per target.
#if defined(LOWBIT_KERNELS_SINK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWBIT_KERNELS_SINK_INL_H
#undef LOWBIT_KERNELS_SINK_INL_H
#else
#define LOWBIT_KERNELS_SINK_INL_H
#endif

#include <algorithm>

#include "formats/kernels/random-inl.h"
#include "formats/kernels/scaler-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// Low byte of each lane.
HWY_INLINE void store_bytes(VI code, std::uint8_t* to) {
#if LOWBIT_AVX512
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(code.raw));  // TruncateTo: two instructions
#else
  const hn::Rebind<std::uint8_t, DU> d8;
  hn::StoreU(hn::TruncateTo(d8, hn::BitCast(DU(), code)), d8, to);
#endif
}

/// The value or code of x under a quantiser and its constants, with a random word if it draws.
template <bool kRandom, class Quantizer>
HWY_INLINE V value_of(const Quantizer q, V x, V c0, V c1, V c2, const std::uint32_t* word) {
  if constexpr (kRandom && Quantizer::kDraws) return q.random_value(x, c0, c1, c2, hn::LoadU(DU(), word));
  (void)word;
  return q.value(x, c0, c1, c2);
}
template <bool kRandom, class Quantizer>
HWY_INLINE VI code_of(const Quantizer q, V x, V c0, V c1, V c2, const std::uint32_t* word) {
  if constexpr (kRandom && Quantizer::kDraws) return q.random_code(x, c0, c1, c2, hn::LoadU(DU(), word));
  (void)word;
  return q.code(x, c0, c1, c2);
}

template <bool kStream>
struct ValueSink {
  static constexpr bool kCodes = false;
  float* y;
  HWY_INLINE ValueSink at(std::size_t i) const { return {y + i}; }
  template <bool kRandom, class Quantizer>
  HWY_INLINE void put(const Quantizer q, V x, V c0, V c1, V c2, const std::uint32_t* word) const {
    const V v = value_of<kRandom>(q, x, c0, c1, c2, word);
    if constexpr (kStream)
      hn::Stream(v, D(), y);
    else
      hn::StoreU(v, D(), y);
  }
  /// Values of a group of zeros.
  HWY_INLINE void zeros(std::size_t n, int) const { std::fill_n(y, n, 0.0f); }
  HWY_INLINE void copy_from(const ValueSink& other, std::size_t n) const { std::copy_n(other.y, n, y); }
};

struct CodeSink {
  static constexpr bool kCodes = true;
  std::uint8_t* codes;
  HWY_INLINE CodeSink at(std::size_t i) const { return {codes + i}; }
  template <bool kRandom, class Quantizer>
  HWY_INLINE void put(const Quantizer q, V x, V c0, V c1, V c2, const std::uint32_t* word) const {
    store_bytes(code_of<kRandom>(q, x, c0, c1, c2, word), codes);
  }
  HWY_INLINE void zeros(std::size_t n, int code) const { std::fill_n(codes, n, static_cast<std::uint8_t>(code)); }
  HWY_INLINE void copy_from(const CodeSink& other, std::size_t n) const { std::copy_n(other.codes, n, codes); }
};

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();
#endif
