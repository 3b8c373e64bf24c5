// Products of float32 matrices, on the calling thread.
#pragma once
#include <string>

#include "sim/model/tensor.hpp"

namespace lowbit::model {

/// A matrix as it lies in memory, or its transpose.
struct Operand {
  ConstRows stored;
  bool transposed = false;

  Operand(ConstRows rows) : stored(rows) {}
  Operand(Rows rows) : stored(rows) {}
  Operand(const Matrix& matrix) : stored(matrix.view()) {}
  std::size_t rows() const { return transposed ? stored.columns : stored.rows; }
  std::size_t columns() const { return transposed ? stored.rows : stored.columns; }
};
inline Operand transpose(ConstRows rows) {
  Operand operand(rows);
  operand.transposed = true;
  return operand;
}

enum class Sum { replace, add };
/// c (m x n) = a (m x k) b (k x n), or with Sum::add c + a b; of k = 0 the empty sum. c overlaps neither a nor b. The
/// order of the float32 sums, and with it the bits, depends on the processor and on the library, not on threads:
/// oneDNN's where the build has it, since OpenBLAS spends a fifth of its time on packing products as small as a
/// layer's. Error: std::bad_alloc.
void sgemm(const Operand& a, const Operand& b, Rows c, Sum sum = Sum::replace);

/// Name and version of the library behind sgemm where it is not OpenBLAS, with the instruction set it uses; else empty.
std::string sgemm_library();

}  // namespace lowbit::model
