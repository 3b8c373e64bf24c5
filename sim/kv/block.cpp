#include "sim/kv/block.hpp"

#include <cstring>
#include <stdexcept>

namespace lowbit::kv {
namespace {

class PlainBlock : public Block {
 public:
  explicit PlainBlock(std::size_t width) : width_(width) {}
  void add(const Block& block) {
    const std::size_t old = values_.size();
    values_.resize(old + block.rows() * width_);
    block.decode(0, Rows(values_.data() + old, block.rows(), width_));
  }
  std::size_t rows() const override { return values_.size() / width_; }
  void decode(std::size_t first, Rows out) const override {
    model::copy_rows(ConstRows(values_.data() + first * width_, out.rows, width_), out);
  }
  Bytes bytes() const override {
    Bytes bytes;
    bytes.codes = values_.size() * sizeof(float);
    return bytes;
  }
  void dump(std::vector<std::uint8_t>& out) const override {
    const auto* data = reinterpret_cast<const std::uint8_t*>(values_.data());
    out.insert(out.end(), data, data + values_.size() * sizeof(float));
  }

 private:
  std::size_t width_;
  std::vector<float> values_;
};

}  // namespace

void Bytes::add(const Bytes& other) {
  codes += other.codes;
  scales += other.scales;
  outliers += other.outliers;
  factors += other.factors;
  states += other.states;
  tail += other.tail;
  indices += other.indices;
}

void Codec::extend(Block&, ConstRows) const {
  throw std::logic_error("kv: blocks of this codec do not grow");
}

std::unique_ptr<Block> PlainCodec::seal(ConstRows rows) const {
  auto block = std::make_unique<PlainBlock>(rows.columns);
  block->add(*codec_->seal(rows));
  return block;
}

void PlainCodec::extend(Block& block, ConstRows rows) const {
  static_cast<PlainBlock&>(block).add(*codec_->seal(rows));
}

}  // namespace lowbit::kv
