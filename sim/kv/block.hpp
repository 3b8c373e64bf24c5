// What sealed slots are: packed blocks, made by codecs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "sim/kv/packed_rows.hpp"
#include "sim/model/tensor.hpp"

namespace lowbit::kv {

using model::Matrix;

/// Bytes held, by what they are. Open slots (the tail), states and bases (under factors) count 2 bytes a value, as the
/// float16 of a serving system; here they lie in wider types.
struct Bytes {
  std::size_t codes = 0, scales = 0, outliers = 0, factors = 0, states = 0, tail = 0, indices = 0;
  std::size_t total() const { return codes + scales + outliers + factors + states + tail + indices; }
  void add(const Bytes& other);
};

/// Values that blocks are read with and that lie beside them once, however many blocks, heads and streams use them:
/// levels, ranges, bases.
struct Table {
  const void* identity;  ///< tables of equal identity are one
  Bytes bytes;
};

/// Consecutive slots in packed form.
class Block {
 public:
  virtual ~Block() = default;
  virtual std::size_t rows() const = 0;
  /// out.rows rows from row `first` on, in float32. out.columns is the width of the stream.
  virtual void decode(std::size_t first, Rows out) const = 0;
  /// out(i, t) = lane_dot(q_i, row first + t), without a float32 copy of the rows. false: not offered, decode instead.
  virtual bool logits(std::size_t, ConstRows, KvMath, Rows) const { return false; }
  /// sums(i) += sum of weights(i, t) * row first + t, in the order of rows. false: not offered.
  virtual bool add_rows_to(std::size_t, ConstRows, KvMath, Rows) const { return false; }
  /// Asks the processor for what logits and add_rows_to will read: blocks are small and lie apart in memory.
  virtual void prefetch() const {}
  virtual Bytes bytes() const = 0;
  /// Appends everything that is stored, byte by byte: equal dumps are equal blocks.
  virtual void dump(std::vector<std::uint8_t>& out) const = 0;
};

/// Asks the processor for the cache lines of n bytes; nothing else happens.
inline void prefetch_bytes(const void* data, std::size_t n) {
  constexpr std::size_t kLine = 64;
  const auto* first = static_cast<const char*>(data);
  for (std::size_t i = 0; i < n; i += kLine) __builtin_prefetch(first + i);
}

/// Makes blocks. Codecs are constant once made, so that equal rows give equal blocks, however they arrive.
class Codec {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();
  virtual ~Codec() = default;
  /// Rows must be a multiple of granule(), at most block_rows().
  virtual std::unique_ptr<Block> seal(ConstRows rows) const = 0;
  /// Rows that are coded together: 1 where each row stands alone.
  virtual std::size_t granule() const = 0;
  /// Most rows of one block.
  virtual std::size_t block_rows() const = 0;
  /// Adds rows to a block that this codec made and that has room for them. Only where granule() is less than
  /// block_rows(); the block is then that of all rows sealed at once.
  virtual void extend(Block& block, ConstRows rows) const;
  virtual std::vector<Table> tables() const { return {}; }
};

/// Values of a block as float32, as a fake-quantised path holds them: stores what another codec's block decodes to.
/// Attention over both gives equal bits.
class PlainCodec : public Codec {
 public:
  explicit PlainCodec(std::shared_ptr<const Codec> codec) : codec_(std::move(codec)) {}
  std::unique_ptr<Block> seal(ConstRows rows) const override;
  std::size_t granule() const override { return codec_->granule(); }
  std::size_t block_rows() const override { return codec_->block_rows(); }
  void extend(Block& block, ConstRows rows) const override;

 private:
  std::shared_ptr<const Codec> codec_;
};

}  // namespace lowbit::kv
