#include "sim/kv/half_codec.hpp"

#include <algorithm>

#include "sim/kv/half.hpp"

namespace lowbit::kv {
namespace {

class HalfBlock : public Block {
 public:
  explicit HalfBlock(std::size_t width) : width_(width) {}
  void add(ConstRows rows) {
    for (std::size_t t = 0; t < rows.rows; ++t)
      for (std::size_t c = 0; c < width_; ++c) codes_.push_back(half_code(rows.row(t)[c]));
  }
  std::size_t rows() const override { return codes_.size() / width_; }
  void decode(std::size_t first, Rows out) const override {
    for (std::size_t t = 0; t < out.rows; ++t) half_values(codes_.data() + (first + t) * width_, width_, out.row(t));
  }
  bool logits(std::size_t first, ConstRows q, KvMath, Rows out) const override {
    return half_logits(rows_at(first, out.columns), q, out);
  }
  bool add_rows_to(std::size_t first, ConstRows weights, KvMath, Rows sums) const override {
    return half_sums(rows_at(first, weights.columns), weights, sums);
  }
  void prefetch() const override {  // the processor goes on by itself
    prefetch_bytes(codes_.data(), std::min<std::size_t>(2 * codes_.size(), 1024));
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
  HalfRows rows_at(std::size_t first, std::size_t rows) const { return {codes_.data() + first * width_, rows, width_}; }

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
