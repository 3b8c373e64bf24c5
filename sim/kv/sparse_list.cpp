#include "sim/kv/sparse_list.hpp"

#include "sim/kv/half.hpp"

namespace lowbit::kv {

void SparseList::add_row(const std::vector<std::uint16_t>& channels, const float* row) {
  count_.push_back(static_cast<std::uint16_t>(channels.size()));
  for (const std::uint16_t c : channels) {
    channel_.push_back(c);
    value_.push_back(half_code(row[c]));
  }
}

void SparseList::put(std::size_t first, Rows out) const {
  std::size_t next = 0;
  for (std::size_t t = 0; t < first; ++t) next += count_[t];
  for (std::size_t t = 0; t < out.rows; ++t)
    for (std::size_t i = 0; i < count_[first + t]; ++i, ++next) out.row(t)[channel_[next]] = half_value(value_[next]);
}

void SparseList::add_bytes(Bytes& bytes) const {
  bytes.outliers += 2 * value_.size();
  bytes.indices += 2 * (channel_.size() + count_.size());
}

void SparseList::dump(std::vector<std::uint8_t>& out) const {
  for (const auto* part : {&count_, &channel_, &value_}) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(part->data());
    out.insert(out.end(), bytes, bytes + 2 * part->size());
  }
}

}  // namespace lowbit::kv
