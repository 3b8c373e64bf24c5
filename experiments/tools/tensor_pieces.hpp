// How a tensor is cut for work in bounded memory: pieces, over which sums run, and units, which are worked on at a
// time.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "formats/block.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {

/// Consecutive values of a tensor. `layout` is theirs, with the same quantised axis.
struct TensorUnit {
  std::size_t first, count;
  Layout layout;
  std::size_t first_piece, pieces;
  bool whole_rows;  ///< false: a part of one row, a multiple of 65536 values from its start
};

/// Sums over a tensor add those of its pieces in order. Pieces depend on the layout alone: whole slabs (length x inner
/// values) up to 65536 values, or parts of 65536 values of one slab (the last may be shorter). Units are made of whole
/// pieces and hold whole groups and transform blocks: one piece, or one slab where groups of its parts would be cut.
class TensorPieces {
 public:
  /// Units for `formats` (those with works_in_units) and `transforms`.
  TensorPieces(const Layout& layout, const std::vector<Format>& formats,
               const std::vector<std::shared_ptr<const Transform>>& transforms);
  std::size_t unit_count() const { return unit_count_; }
  std::size_t piece_count() const { return piece_count_; }
  TensorUnit unit(std::size_t i) const;
  /// Values [first, first + count) of piece `i` in the tensor.
  std::pair<std::size_t, std::size_t> piece(std::size_t i) const;
  /// Parts of one row that make it up, where units are parts of rows; else 1.
  std::size_t units_per_row() const { return units_per_slab_; }
  /// The most values of a unit.
  std::size_t largest() const { return largest_; }

 private:
  std::size_t size_, length_, inner_, slab_;
  std::size_t slabs_per_piece_ = 1, pieces_per_slab_ = 1, units_per_slab_ = 1;
  std::size_t unit_count_ = 0, piece_count_ = 0, largest_ = 0;
};

/// Whether the values of a group decide alone about its codes (given the tensor's maximum), and groups lie along the
/// axis: plain casts, groups and channels without like=.
bool works_in_units(const Format& format);

}  // namespace lowbit
