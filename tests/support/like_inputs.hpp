// The inputs of the like= vectors, made of integers alone: the twin of scripts/oracle/like_inputs.py, whose text
// defines them, and the digests that a vector file holds.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "formats/random.hpp"

namespace lowbit::test {

/// One `row` line of a vector file.
struct LikeRow {
  std::string format;
  std::size_t group = 0, blocks = 0;
  std::size_t tensor = 0;  ///< blocks per tensor; 0: all blocks are one tensor and classes go block by block
  std::size_t tail = 0;    ///< values cut off the end of each tensor
  std::set<int> exclude;   ///< classes replaced by class 0
  std::uint32_t low = 1;   ///< lowest exponent field of class 7
  bool run = true;         ///< false: derived from the source
  bool operator<(const LikeRow& other) const {
    return std::tie(group, blocks, tensor, tail, exclude, low) <
           std::tie(other.group, other.blocks, other.tensor, other.tail, other.exclude, other.low);
  }
};

namespace detail {

struct ValueWords {
  std::uint32_t w0, w1;
};

inline float ordinary(ValueWords w, int exponent) {
  const auto halves = [](std::uint32_t v) { return static_cast<int>(v & 0xFFFF) + static_cast<int>(v >> 16); };
  return static_cast<float>(std::ldexp(static_cast<double>(halves(w.w0) + halves(w.w1) - 131070), exponent));
}

inline std::uint32_t class_bits(int kind, std::size_t i, ValueWords w, std::uint32_t b0, std::uint32_t low) {
  constexpr std::uint32_t kSign = 0x80000000u;
  const std::uint32_t near = w.w1 % 129 - 64;
  switch (kind) {
    case 4:
    case 5:
      return std::bit_cast<std::uint32_t>(ordinary(w, static_cast<int>(b0 % 200) - 126));
    case 6:
      return (((64 + w.w0 % 128) << 23) + near) | (w.w1 & kSign);
    case 7:
      return (((low + b0 % (254 - low)) << 23) + near) | (w.w1 & kSign);
    case 8:
      return (w.w0 & 0x807FFFFFu) | ((1 + w.w1 % 254) << 23);
    case 9:
      return ((w.w0 & 0x7FFFFFu) >> (w.w1 % 25)) | (w.w0 & kSign);
    case 10:
      return w.w0 & kSign;
    case 12: {
      const int odd = i == 0 ? 64 : static_cast<int>(2 * (w.w0 % 32) + 1);
      const auto tie = static_cast<float>(std::ldexp(odd, static_cast<int>(b0 % 20) - 10));
      return std::bit_cast<std::uint32_t>(tie) | (w.w1 & kSign);
    }
    default:
      break;
  }
  if (kind == 11) {
    const std::uint32_t h = (w.w0 * 0x9E3779B1u) >> 29;
    if (h <= 2) return h < 2 ? 0u : kSign;
  }
  return std::bit_cast<std::uint32_t>(ordinary(w, static_cast<int>(b0 % 41) - 36));
}

}  // namespace detail

/// float32 values of all blocks of the row, before `tail` cuts.
inline std::vector<float> like_inputs(const LikeRow& row) {
  const std::uint64_t values = stream_of("like_inputs"), blocks = stream_of("like_inputs/block");
  std::vector<float> out(row.blocks * row.group);
  for (std::size_t b = 0; b < row.blocks; ++b) {
    const std::uint32_t b0 = random_word(1, blocks, 2 * b), b1 = random_word(1, blocks, 2 * b + 1);
    int kind = static_cast<int>((row.tensor ? b / row.tensor : b) % 16);
    if (row.exclude.count(kind)) kind = 0;
    const bool special = kind >= 13 && (row.tensor == 0 || b % row.tensor == row.tensor / 2);
    const int base = kind < 13 ? kind : kind == 15 && row.tensor == 0 ? 8 : 0;
    std::array<std::uint32_t, 4> words{};
    for (std::size_t i = 0; i < row.group; ++i) {
      const std::size_t n = b * row.group + i;
      if (i == 0 || n % 2 == 0) words = philox(1, values, n / 2);  // two values a call
      const detail::ValueWords w{words[n % 2 * 2], words[n % 2 * 2 + 1]};
      out[n] = std::bit_cast<float>(detail::class_bits(base, i, w, b0, row.low));
    }
    if (!special) continue;
    constexpr std::uint32_t kSpecial[] = {0x7FC00000u, 0x7F800000u, 0x7F7FFFFFu};
    const std::uint32_t sign = kind == 13 ? 0u : b1 & 0x80000000u;
    out[b * row.group + b1 % row.group] = std::bit_cast<float>(kSpecial[kind - 13] | sign);
  }
  return out;
}

/// FNV-1a 64 of runs of `per` items, each hashed as little-endian bytes; the last run may be shorter.
template <class T>
std::vector<std::uint64_t> like_digests(const std::vector<T>& items, std::size_t per) {
  std::vector<std::uint64_t> out;
  for (std::size_t first = 0; first < items.size(); first += per) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    const std::size_t last = std::min(items.size(), first + per);
    for (std::size_t i = first; i < last; ++i)
      for (std::size_t byte = 0; byte < sizeof(T); ++byte)
        hash = (hash ^ ((items[i] >> (8 * byte)) & 0xFF)) * 0x100000001b3u;
    out.push_back(hash);
  }
  return out;
}

}  // namespace lowbit::test
