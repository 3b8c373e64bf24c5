#include "sim/kv/half_codec.hpp"

#include "sim/kv/half.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define LOWBIT_KV_F16C 1
#endif

namespace lowbit::kv {
namespace {

#ifdef LOWBIT_KV_F16C
__attribute__((target("avx,f16c"))) void decode_f16c(const std::uint16_t* codes, std::size_t n, float* y) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i))));
  for (; i < n; ++i) y[i] = half_value(codes[i]);
}
#endif

void decode_row(const std::uint16_t* codes, std::size_t n, float* y) {
#ifdef LOWBIT_KV_F16C
  static const bool has = __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");
  if (has) return decode_f16c(codes, n, y);
#endif
  for (std::size_t i = 0; i < n; ++i) y[i] = half_value(codes[i]);
}

class HalfBlock : public Block {
 public:
  explicit HalfBlock(std::size_t width) : width_(width) {}
  void add(ConstRows rows) {
    for (std::size_t t = 0; t < rows.rows; ++t)
      for (std::size_t c = 0; c < width_; ++c) codes_.push_back(half_code(rows.row(t)[c]));
  }
  std::size_t rows() const override { return codes_.size() / width_; }
  void decode(std::size_t first, Rows out) const override {
    for (std::size_t t = 0; t < out.rows; ++t) decode_row(codes_.data() + (first + t) * width_, width_, out.row(t));
  }
  Bytes bytes() const override {
    Bytes bytes;
    bytes.codes = 2 * codes_.size();
    return bytes;
  }
  void dump(std::vector<std::uint8_t>& out) const override {
    const auto* data = reinterpret_cast<const std::uint8_t*>(codes_.data());
    out.insert(out.end(), data, data + 2 * codes_.size());
  }

 private:
  std::size_t width_;
  std::vector<std::uint16_t> codes_;
};

}  // namespace

std::unique_ptr<Block> HalfCodec::seal(ConstRows rows) const {
  auto block = std::make_unique<HalfBlock>(rows.columns);
  block->add(rows);
  return block;
}

void HalfCodec::extend(Block& block, ConstRows rows) const {
  static_cast<HalfBlock&>(block).add(rows);
}

}  // namespace lowbit::kv
