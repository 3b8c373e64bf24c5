// The packed block of GroupCodec.
#pragma once
#include <memory>
#include <optional>

#include "formats/block.hpp"
#include "formats/block_quantizer.hpp"
#include "sim/kv/group_codec.hpp"

namespace lowbit::kv {

class GroupBlock : public Block {
 public:
  GroupBlock(const Format& format, GroupAxis axis, std::size_t width, std::optional<float> fixed_maximum);
  /// Packs the codes, scales and minima of further rows.
  void add_rows(const Quantized& quantized, std::size_t rows);

  std::size_t rows() const override { return rows_; }
  void decode(std::size_t first, Rows out) const override;
  bool logits(std::size_t first, ConstRows q, KvMath math, Rows out) const override;
  bool add_rows_to(std::size_t first, ConstRows weights, KvMath math, Rows sums) const override;
  void prefetch() const override {
    for (const auto* part : {&codes_, &scales_, &zeros_}) prefetch_bytes(part->data(), part->size());
  }
  Bytes bytes() const override;
  void dump(std::vector<std::uint8_t>& out) const override;

 private:
  void decode_fast(std::size_t first, Rows out) const;
  void decode_any(std::size_t first, Rows out) const;
  std::size_t group(std::size_t row, std::size_t channel) const;
  PackedRows packed(std::size_t first, std::size_t rows) const {
    return {codes_.data() + first * row_bytes_, row_bytes_, rows, width_};
  }

  Format format_;
  GroupAxis axis_;
  std::size_t width_, row_bytes_, rows_ = 0;
  std::size_t scale_bytes_ = 0, zero_bytes_ = 0;
  bool fast_ = false;  ///< integers with fp16 scale and minimum
  std::vector<std::uint8_t> codes_, scales_, zeros_;
  std::unique_ptr<BlockQuantizer> quantizer_;
};

}  // namespace lowbit::kv
