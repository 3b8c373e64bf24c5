// Reading integer codes with float16 scale and minimum: value = fl(fl(s * c) + z), compiled for several instruction
// sets, the same bits in each.
#include <algorithm>
#include <cstring>

#include "sim/kv/clones.hpp"
#include "sim/kv/group_block.hpp"
#include "sim/kv/half.hpp"

namespace lowbit::kv {
namespace {

// Rows of 2 or 4-bit codes (BITS) with a scale and minimum for each channel (kByChannel) or one for each group of a
// row. Whole words are unpacked by shifts of one register; what is left of a row comes code by code.
template <int kBits>
[[gnu::always_inline]] inline float code_of(const std::uint8_t* bytes, std::size_t i) {
  constexpr std::size_t kPerByte = 8 / kBits;
  return static_cast<float>((bytes[i / kPerByte] >> (kBits * (i % kPerByte))) & ((1 << kBits) - 1));
}

template <int kBits>
[[gnu::always_inline]] inline void unpack_row(const std::uint8_t* bytes, std::size_t n, float* y) {
  constexpr std::size_t kPerWord = 32 / kBits;
  std::size_t i = 0;
  for (; i + kPerWord <= n; i += kPerWord) {
    std::uint32_t word;
    std::memcpy(&word, bytes + i * kBits / 8, sizeof word);
    for (std::size_t j = 0; j < kPerWord; ++j)
      y[i + j] = static_cast<float>(static_cast<std::int32_t>(word >> (kBits * j) & ((1u << kBits) - 1)));
  }
  for (; i < n; ++i) y[i] = code_of<kBits>(bytes, i);
}

struct Packed {
  const std::uint8_t* codes;
  std::size_t row_bytes, width;
};

template <int kBits>
[[gnu::always_inline]] inline void channel_rows(Packed p, const float* scale, const float* zero, Rows out) {
  for (std::size_t t = 0; t < out.rows; ++t) {
    float* y = out.data + t * out.stride;
    unpack_row<kBits>(p.codes + t * p.row_bytes, p.width, y);
    for (std::size_t c = 0; c < p.width; ++c) y[c] = scale[c] * y[c] + zero[c];
  }
}

// scale, zero: those of the groups of each row, one row after the other
template <int kBits>
[[gnu::always_inline]] inline void token_rows(Packed p, std::size_t group, const float* scale, const float* zero,
                                              Rows out) {
  const std::size_t groups = (p.width + group - 1) / group;
  for (std::size_t t = 0; t < out.rows; ++t) {
    float* y = out.data + t * out.stride;
    unpack_row<kBits>(p.codes + t * p.row_bytes, p.width, y);
    for (std::size_t g = 0; g < groups; ++g) {
      const float s = scale[t * groups + g], z = zero[t * groups + g];
      const std::size_t end = std::min(p.width, (g + 1) * group);
      for (std::size_t c = g * group; c < end; ++c) y[c] = s * y[c] + z;
    }
  }
}

// A template cannot be compiled for several instruction sets: one function for each width.
LOWBIT_KV_CLONES void channel_rows_two(Packed p, const float* scale, const float* zero, Rows out) {
  channel_rows<2>(p, scale, zero, out);
}
LOWBIT_KV_CLONES void channel_rows_four(Packed p, const float* scale, const float* zero, Rows out) {
  channel_rows<4>(p, scale, zero, out);
}
LOWBIT_KV_CLONES void token_rows_two(Packed p, std::size_t group, const float* scale, const float* zero, Rows out) {
  token_rows<2>(p, group, scale, zero, out);
}
LOWBIT_KV_CLONES void token_rows_four(Packed p, std::size_t group, const float* scale, const float* zero, Rows out) {
  token_rows<4>(p, group, scale, zero, out);
}

void unpack_any(int bits, const std::uint8_t* bytes, std::size_t n, float* y) {
  const std::uint32_t mask = (1u << bits) - 1;
  std::size_t place = 0;
  for (std::size_t i = 0; i < n; ++i, place += static_cast<std::size_t>(bits)) {
    std::uint32_t word = bytes[place / 8];
    if (place % 8 + static_cast<std::size_t>(bits) > 8) word |= static_cast<std::uint32_t>(bytes[place / 8 + 1]) << 8;
    y[i] = static_cast<float>(word >> (place % 8) & mask);
  }
}

LOWBIT_KV_CLONES void scale_by_channel(float* y, const float* scale, const float* zero, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = scale[i] * y[i] + zero[i];
}

LOWBIT_KV_CLONES void scale_by_one(float* y, float scale, float zero, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = scale * y[i] + zero;
}

// float16 values first .. first + n - 1.
void halves(const std::vector<std::uint8_t>& bytes, std::size_t first, std::size_t n, float* y) {
  half_values(bytes.data() + 2 * first, n, y);
}

}  // namespace

void GroupBlock::decode_fast(std::size_t first, Rows out) const {
  const std::size_t g = format_.group_size, groups = (width_ + g - 1) / g;
  const int bits = format_.element->bits;
  const bool channel = axis_ == GroupAxis::channel;
  static thread_local std::vector<float> scale, zero;
  for (std::size_t t = 0; t < out.rows;) {  // rows up to the end of their channel-wise group
    const std::size_t row = first + t, n = channel ? std::min(out.rows - t, g - row % g) : out.rows;
    const std::size_t count = channel ? width_ : n * groups, place = channel ? row / g * width_ : row * groups;
    scale.resize(std::max(scale.size(), count));
    zero.resize(scale.size());
    halves(scales_, place, count, scale.data());
    halves(zeros_, place, count, zero.data());
    const Packed packed{codes_.data() + row * row_bytes_, row_bytes_, width_};
    const Rows rows = out.slice(t, n);
    if (bits == 2) {
      channel ? channel_rows_two(packed, scale.data(), zero.data(), rows)
              : token_rows_two(packed, g, scale.data(), zero.data(), rows);
    } else if (bits == 4) {
      channel ? channel_rows_four(packed, scale.data(), zero.data(), rows)
              : token_rows_four(packed, g, scale.data(), zero.data(), rows);
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        unpack_any(bits, packed.codes + i * row_bytes_, width_, rows.row(i));
        if (channel)
          scale_by_channel(rows.row(i), scale.data(), zero.data(), width_);
        else
          for (std::size_t k = 0; k < groups; ++k)
            scale_by_one(rows.row(i) + k * g, scale[i * groups + k], zero[i * groups + k], std::min(g, width_ - k * g));
      }
    }
    t += n;
  }
}

bool GroupBlock::logits(std::size_t first, ConstRows q, KvMath math, Rows out) const {
  const int bits = format_.element->bits;
  if (!fast_ || axis_ != GroupAxis::channel || !packed_rows_fit(bits, width_)) return false;
  const std::size_t g = format_.group_size;
  static thread_local std::vector<float> scale, zero;
  scale.resize(width_);
  zero.resize(width_);
  for (std::size_t t = 0; t < out.columns;) {  // rows up to the end of their group
    const std::size_t row = first + t, n = std::min(out.columns - t, g - row % g);
    halves(scales_, row / g * width_, width_, scale.data());
    halves(zeros_, row / g * width_, width_, zero.data());
    packed_logits(bits, packed(row, n), scale.data(), zero.data(), q, math, out.part(t, n));
    t += n;
  }
  return true;
}

bool GroupBlock::add_rows_to(std::size_t first, ConstRows weights, KvMath math, Rows sums) const {
  const int bits = format_.element->bits;
  const std::size_t g = std::min(format_.group_size, width_);
  if (!fast_ || axis_ != GroupAxis::token || !packed_rows_fit(bits, width_) || width_ % g != 0 || g % 16 != 0)
    return false;
  const std::size_t groups = width_ / g, count = weights.columns * groups;
  static thread_local std::vector<float> scale, zero;
  scale.resize(count);
  zero.resize(count);
  halves(scales_, first * groups, count, scale.data());
  halves(zeros_, first * groups, count, zero.data());
  packed_sums(bits, packed(first, weights.columns), g, scale.data(), zero.data(), weights, math, sums);
  return true;
}

}  // namespace lowbit::kv
