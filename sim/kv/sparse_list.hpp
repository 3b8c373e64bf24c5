// Values of a block that are kept exactly, in a side list.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/kv/block.hpp"

namespace lowbit::kv {

/// Row by row: a 16-bit count, then a 16-bit channel and a float16 value each. Rows are added in order.
class SparseList {
 public:
  void add_row(const std::vector<std::uint16_t>& channels, const float* row);
  /// Puts the values of rows first .. first + out.rows - 1 into out.
  void put(std::size_t first, Rows out) const;
  std::size_t size() const { return channel_.size(); }
  void add_bytes(Bytes& bytes) const;
  void dump(std::vector<std::uint8_t>& out) const;

 private:
  std::vector<std::uint16_t> count_, channel_, value_;
};

}  // namespace lowbit::kv
