// Storage: what one layer keeps of past tokens.
#pragma once
#include <deque>
#include <limits>
#include <string>
#include <string_view>

#include "sim/kv/block.hpp"

namespace lowbit::kv {

/// The slots of one named tensor of one head (or of the layer): rows of `width` values, each with a position, in parts
/// that are open (float32) or sealed (a Block). Parts are in the order of their slots.
class Stream {
 public:
  Stream(std::string name, std::size_t width) : name_(std::move(name)), width_(width) {}

  const std::string& name() const { return name_; }
  std::size_t width() const { return width_; }
  std::size_t slots() const { return positions_.size(); }
  const std::int64_t* positions() const { return positions_.data(); }
  /// No slot has a later position (that of an erased slot counts on).
  std::int64_t latest_position() const { return latest_; }
  /// Slots in sealed parts, and in open ones.
  std::size_t sealed() const { return sealed_; }
  std::size_t open() const { return slots() - sealed_; }

  /// New open slots at the end.
  void append(ConstRows rows, const std::int64_t* positions);
  /// Seals slots first .. first + count - 1, which must lie in one open part; count a multiple of the granule. They are
  /// divided into blocks of codec->block_rows(); rows that stand alone join the block before them where it is the
  /// codec's and not full, so that the blocks do not depend on how many slots are sealed at a time. Error (bad_data):
  /// NaN or Inf in the rows, naming stream, position and channel.
  void seal(std::size_t first, std::size_t count, std::shared_ptr<const Codec> codec);
  /// Puts other tokens into slots: open ones as they are; a sealed part must be overwritten whole and is open
  /// afterwards.
  void overwrite(std::size_t first, ConstRows rows, const std::int64_t* positions);
  /// Slots disappear, later ones move up. A sealed part that loses some of its slots keeps its bytes until it is
  /// empty, as a page does.
  void erase(std::size_t first, std::size_t count);

  std::size_t parts() const { return parts_.size(); }
  struct Part {
    std::size_t first = 0, slots = 0;
    const Block* block = nullptr;  ///< nullptr: open
  };
  Part part(std::size_t index) const;
  std::size_t part_slots(std::size_t index) const { return parts_[index].slots; }
  /// An open part as it lies; no rows for a sealed one.
  ConstRows open_rows(std::size_t part) const;
  /// The block of a sealed part that still holds all of its rows; nullptr otherwise.
  const Block* whole_block(std::size_t part) const {
    return parts_[part].kept.empty() ? parts_[part].block.get() : nullptr;
  }
  /// Rows first .. of a part (counted in its slots) as float32.
  void read(std::size_t part, std::size_t first, Rows out) const;
  /// Rows of any slots.
  Matrix gather(const std::vector<std::size_t>& slots) const;
  /// All slots in order.
  Matrix rows() const;
  /// With the tables of the codecs; those whose identities are in `counted` have been counted elsewhere, the others are
  /// added to it.
  Bytes bytes(std::vector<const void*>& counted) const;
  Bytes bytes() const {
    std::vector<const void*> counted;
    return bytes(counted);
  }
  /// Everything that is sealed, byte by byte.
  std::vector<std::uint8_t> dump() const;

 private:
  struct Piece {
    std::size_t slots = 0;
    std::shared_ptr<const Codec> codec;  // of a sealed piece
    std::unique_ptr<Block> block;
    std::vector<std::uint32_t> kept;  // rows of the block that are left; empty: all
    std::vector<float> values;        // of an open piece
    std::size_t start = 0;            // rows of `values` that are gone already
    const float* row(std::size_t i, std::size_t width) const { return values.data() + (start + i) * width; }
    float* row(std::size_t i, std::size_t width) { return values.data() + (start + i) * width; }
  };
  struct Place {
    std::size_t piece, first;  // first: slot that the piece begins with
  };
  Place find(std::size_t slot) const;
  void note_latest(const std::int64_t* positions, std::size_t count);
  void check_finite(const Piece& piece, std::size_t from, std::size_t count, std::size_t first_slot) const;
  void take_front(std::size_t piece, std::size_t count);
  std::size_t add_sealed(std::size_t at, ConstRows rows, const std::shared_ptr<const Codec>& codec);

  std::string name_;
  std::size_t width_;
  std::vector<std::int64_t> positions_;
  std::int64_t latest_ = std::numeric_limits<std::int64_t>::min();
  std::deque<Piece> parts_;
  std::size_t sealed_ = 0;
};

/// The streams of a layer by name, and its states.
class Storage {
 public:
  explicit Storage(std::string name = "") : name_(std::move(name)) {}
  /// A stream of each of `heads` heads (1 for a stream of the whole layer). std::logic_error for a name that exists.
  void add(std::string_view name, std::size_t heads, std::size_t width);
  bool has(std::string_view name) const { return find(name) != nullptr; }
  Stream& stream(std::string_view name, std::size_t head = 0);
  const Stream& stream(std::string_view name, std::size_t head = 0) const;
  std::size_t heads(std::string_view name) const;
  /// A vector of constant size, zeros when it is first asked for.
  std::vector<double>& state(std::string_view name, std::size_t head, std::size_t size);
  Bytes bytes() const;

 private:
  struct Named {
    std::string name;
    std::deque<Stream> streams;
  };
  struct State {
    std::string name;
    std::size_t head;
    std::vector<double> values;
  };
  const Named* find(std::string_view name) const;

  std::string name_;
  std::deque<Named> streams_;
  std::deque<State> states_;
};

}  // namespace lowbit::kv
