#include "experiments/tools/tensor_pieces.hpp"

#include <algorithm>

namespace lowbit {
namespace {

constexpr std::size_t kPiece = 65536;

bool fits_parts(const Format& format) {
  return format.group == GroupKind::none || (format.group == GroupKind::size && kPiece % format.group_size == 0);
}

}  // namespace

bool works_in_units(const Format& format) {
  return format.like.empty() && format.group != GroupKind::tensor && format.group != GroupKind::tile;
}

TensorPieces::TensorPieces(const Layout& layout, const std::vector<Format>& formats,
                           const std::vector<std::shared_ptr<const Transform>>& transforms)
    : size_(layout.size()), length_(layout.length()), inner_(layout.inner()), slab_(length_ * inner_) {
  if (size_ == 0) return;
  const std::size_t slabs = size_ / slab_;
  if (slab_ <= kPiece) {
    slabs_per_piece_ = std::min(kPiece / slab_, slabs);
    piece_count_ = unit_count_ = (slabs + slabs_per_piece_ - 1) / slabs_per_piece_;
    largest_ = slabs_per_piece_ * slab_;
    return;
  }
  pieces_per_slab_ = (slab_ + kPiece - 1) / kPiece;
  piece_count_ = slabs * pieces_per_slab_;
  bool parts = inner_ == 1;
  for (const Format& format : formats) parts &= !works_in_units(format) || fits_parts(format);
  for (const auto& transform : transforms) parts &= transform->block() == 0 || kPiece % transform->block() == 0;
  units_per_slab_ = parts ? pieces_per_slab_ : 1;
  unit_count_ = slabs * units_per_slab_;
  largest_ = parts ? kPiece : slab_;
}

std::pair<std::size_t, std::size_t> TensorPieces::piece(std::size_t i) const {
  if (pieces_per_slab_ == 1) {
    const std::size_t size = slabs_per_piece_ * slab_, first = i * size;
    return {first, std::min(size, size_ - first)};
  }
  const std::size_t in_slab = i % pieces_per_slab_ * kPiece;
  return {i / pieces_per_slab_ * slab_ + in_slab, std::min(kPiece, slab_ - in_slab)};
}

TensorUnit TensorPieces::unit(std::size_t i) const {
  const std::size_t pieces = pieces_per_slab_ / units_per_slab_;
  TensorUnit u{0, 0, {}, i * pieces, pieces, units_per_slab_ == 1};
  for (std::size_t p = 0; p < pieces; ++p) {
    const auto [first, count] = piece(u.first_piece + p);
    if (p == 0) u.first = first;
    u.count += count;
  }
  u.layout = u.whole_rows ? Layout({u.count / slab_, length_, inner_}, 1) : Layout::vector(u.count);
  return u;
}

}  // namespace lowbit
