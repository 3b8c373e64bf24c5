// Dot products and weighted sums over rows that lie in float32, float16 or packed codes, without a float32 copy of the
// codes. The bits are those of unpacking and lane_dot (logits) or of adding row after row (sums), whatever the
// instruction set.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/tensor.hpp"

namespace lowbit::kv {

using model::ConstRows;
using model::Rows;

/// How values of integer blocks enter sums.
enum class KvMath {
  exact,  ///< each value is fl(fl(s * c) + z), as fake-quantised rows hold it
  fused   ///< scales are multiplied into queries or weights, minima summed apart: the same to about 1e-6 of the sum
};

/// Rows of codes of 2 or 4 bits, low bits first.
struct PackedRows {
  const std::uint8_t* codes = nullptr;
  std::size_t row_bytes = 0, rows = 0, width = 0;
};

/// Rows in float16.
struct HalfRows {
  const std::uint16_t* codes = nullptr;
  std::size_t rows = 0, width = 0;
};

/// Whether the functions below take rows of this width (64 or 128 channels) and bits (2 or 4).
bool packed_rows_fit(int bits, std::size_t width);

/// out(i, t) = lane_dot(q_i, row t); rows of 64 or 128 values.
bool float_logits(ConstRows rows, ConstRows q, Rows out);
bool half_logits(const HalfRows& rows, ConstRows q, Rows out);
/// The same with row t = scale * codes + zero, scale and zero of each channel.
void packed_logits(int bits, const PackedRows& rows, const float* scale, const float* zero, ConstRows q, KvMath math,
                   Rows out);

/// sums(i) += sum over t of weights(i, t) * row t, in the order of rows; rows of 64 or 128 values.
bool float_sums(ConstRows rows, ConstRows weights, Rows sums);
bool half_sums(const HalfRows& rows, ConstRows weights, Rows sums);
/// The same with row t = scale * codes + zero, scale and zero of each group of `group` channels (a multiple of 16) of
/// each row.
void packed_sums(int bits, const PackedRows& rows, std::size_t group, const float* scale, const float* zero,
                 ConstRows weights, KvMath math, Rows sums);

/// Instruction sets that this processor runs, the one that is used first; and another choice, for tests of their
/// equality (not while others compute).
std::vector<std::string> packed_kernels();
void use_packed_kernels(std::size_t index);

}  // namespace lowbit::kv
