// How the model holds tensors: T tokens x C channels, a token's channels side by side; weights out x in. The same
// memory is fmat(C, T) and fmat(C_in, C_out) for Armadillo.
#pragma once
#include <algorithm>
#include <cassert>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace lowbit::model {

/// `rows` rows of `columns` values, rows `stride` values apart. A view: it owns nothing.
template <class T>
struct BasicRows {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0;

  BasicRows() = default;
  BasicRows(T* data, std::size_t rows, std::size_t columns) : BasicRows(data, rows, columns, columns) {}
  BasicRows(T* data, std::size_t rows, std::size_t columns, std::size_t stride)
      : data(data), rows(rows), columns(columns), stride(stride) {}
  /// A writable view is a readable one.
  operator BasicRows<const T>() const { return {data, rows, columns, stride}; }

  T* row(std::size_t i) const { return data + i * stride; }
  bool contiguous() const { return stride == columns || rows <= 1; }
  /// Rows first .. first + count - 1.
  BasicRows slice(std::size_t first, std::size_t count) const {
    assert(first + count <= rows);
    return {data + first * stride, count, columns, stride};
  }
  /// Columns first .. first + count - 1: one head of a row of heads.
  BasicRows part(std::size_t first, std::size_t count) const {
    assert(first + count <= columns);
    return {data + first, rows, count, stride};
  }
};
using Rows = BasicRows<float>;
using ConstRows = BasicRows<const float>;

/// Memory that begins a cache line. Leaves new values as they are: buffers are written before they are read, and
/// clearing them costs as much as using them.
template <class T>
struct UnsetAllocator : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = UnsetAllocator<U>;
  };
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kAlignment)); }
  void deallocate(T* buffer, std::size_t) { ::operator delete(buffer, kAlignment); }
  static constexpr std::align_val_t kAlignment{64};
  template <class U, class... Args>
  void construct(U* place, Args&&... args) {
    if constexpr (sizeof...(Args) == 0)
      ::new (static_cast<void*>(place)) U;
    else
      ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
};

using Buffer = std::vector<float, UnsetAllocator<float>>;

/// Rows that own their memory, contiguous. New values are not set.
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t columns) : rows_(rows), columns_(columns), values_(rows * columns) {}
  /// All values zero.
  static Matrix zeros(std::size_t rows, std::size_t columns) {
    Matrix matrix(rows, columns);
    std::fill(matrix.values_.begin(), matrix.values_.end(), 0.0f);
    return matrix;
  }
  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  bool empty() const { return values_.empty(); }
  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }
  Rows view() { return {values_.data(), rows_, columns_}; }
  ConstRows view() const { return {values_.data(), rows_, columns_}; }
  operator Rows() { return view(); }
  operator ConstRows() const { return view(); }
  /// Sets the shape; values are kept only if the shape stays.
  void resize(std::size_t rows, std::size_t columns) {
    rows_ = rows;
    columns_ = columns;
    values_.resize(rows * columns);
  }

 private:
  std::size_t rows_ = 0, columns_ = 0;
  Buffer values_;
};

/// target = source, same shape.
inline void copy_rows(ConstRows source, Rows target) {
  assert(source.rows == target.rows && source.columns == target.columns);
  for (std::size_t i = 0; i < source.rows; ++i) std::copy_n(source.row(i), source.columns, target.row(i));
}

}  // namespace lowbit::model
