// Slots in groups of a block format: the plain quantiser of every method.
#pragma once
#include <optional>
#include <string>

#include "formats/format.hpp"
#include "sim/kv/block.hpp"

namespace lowbit::kv {

/// What the values of one group have in common: their channel ("channel-wise" in KIVI: g consecutive tokens of a
/// channel), or their token ("token-wise": g consecutive channels of a token).
enum class GroupAxis { channel, token };
/// "channel" and "token".
std::string to_string(GroupAxis axis);

/// Blocks whose codes are packed densely (low bits first, each row on a new byte), scales and minima in the bytes of
/// their elements. A value is what formats/block.hpp decodes: for min formats fl(fl(s * c) + z).
class GroupCodec : public Codec {
 public:
  /// Rows of a block of token-wise groups.
  static constexpr std::size_t kTokenRows = 128;

  /// `fixed_maximum`: tensor maximum of a format with ts=, measured beforehand. Errors (usage): a plain cast wider than
  /// 8 bits, groups over whole tensors or tiles, like= formats, ts= without a fixed maximum.
  /// `block_rows`: most rows of a block; 0: kTokenRows, or one channel-wise group.
  GroupCodec(const Format& format, GroupAxis axis, std::optional<float> fixed_maximum = std::nullopt,
             std::size_t block_rows = 0);

  std::unique_ptr<Block> seal(ConstRows rows) const override;
  std::size_t granule() const override { return axis_ == GroupAxis::token ? 1 : format_.group_size; }
  std::size_t block_rows() const override { return block_rows_; }
  void extend(Block& block, ConstRows rows) const override;
  const Format& format() const { return format_; }
  GroupAxis axis() const { return axis_; }

  /// What sealing and reading gives, for rows of any number (a last channel-wise group may be ragged).
  Matrix round_trip(ConstRows rows) const;

 private:
  Format format_;
  GroupAxis axis_;
  std::optional<float> fixed_maximum_;
  std::size_t block_rows_;
};

/// The format with groups of `size` instead of its own; a bare element without options gets fp16 scale and minimum
/// where it is an integer.
Format with_group(Format format, std::size_t size);

/// Bytes that hold `bits` bits.
inline std::size_t bytes_of(std::size_t bits) {
  return (bits + 7) / 8;
}

}  // namespace lowbit::kv
