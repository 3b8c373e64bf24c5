// Slots in float16: what a serving system holds unquantised.
#pragma once
#include "sim/kv/block.hpp"

namespace lowbit::kv {

/// Rows rounded to float16 (nearest even; beyond 65504 Inf). Decoded by the processor's conversion where it has one,
/// with the same bits.
class HalfCodec : public Codec {
 public:
  static constexpr std::size_t kRows = 128;
  std::unique_ptr<Block> seal(ConstRows rows) const override;
  std::size_t granule() const override { return 1; }
  std::size_t block_rows() const override { return kRows; }
  void extend(Block& block, ConstRows rows) const override;
};

}  // namespace lowbit::kv
