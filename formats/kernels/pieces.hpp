// Contiguous groups of a tensor, numbered, and cut into pieces of fixed size for the workers: what a piece computes
// does not depend on how many there are.
#pragma once
#include <hwy/cache_control.h>

#include <algorithm>
#include <cstddef>

#include "formats/block.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/plan.hpp"

namespace lowbit::kernels {

/// Values of a piece: large beside the cost of handing it out, small beside a tensor.
constexpr std::size_t kPieceValues = std::size_t{1} << 18;

/// Rows of `length` values in groups of `group`, the last of a row may be shorter.
struct GroupRows {
  std::size_t rows = 0, length = 0, group = 0;
  /// Groups of the format if they are contiguous in memory, else rows == 0. Rows of whole groups count as one long row.
  GroupRows(const Format& format, const Layout& layout);
  std::size_t groups_per_row() const { return length / group + (length % group != 0); }
  std::size_t group_count() const { return rows * groups_per_row(); }
};

/// A run of groups: `blocks` whole ones, or (blocks == 0) one of `size` values that is shorter; the first value's flat
/// index and the first group's number.
struct GroupRun {
  std::size_t index, number, blocks, size;
};

/// Calls use(run) for groups first .. last - 1.
template <class Use>
void for_each_run(const GroupRows& g, std::size_t first, std::size_t last, const Use& use) {
  const std::size_t per_row = g.groups_per_row(), whole = g.length / g.group;
  while (first < last) {
    const std::size_t row = first / per_row, at = first % per_row;
    const std::size_t index = row * g.length + at * g.group;
    if (at == whole) {
      use(GroupRun{index, first, 0, g.length - whole * g.group});
      ++first;
      continue;
    }
    const std::size_t blocks = std::min(last - first, whole - at);
    use(GroupRun{index, first, blocks, blocks * g.group});
    first += blocks;
  }
}

/// Runs task(first, last) over [0, count) in pieces of `piece`, on the workers if there are any, each under the default
/// floating-point state. Kernels may store past the caches: others see it at the end of a piece, since a fence after
/// each strip would wait for memory every time.
template <class Task>
void in_pieces(Workers* workers, std::size_t count, std::size_t piece, const Task& task) {
  const std::size_t pieces = count / piece + (count % piece != 0);
  const auto one = [&](std::size_t p) {
    const DefaultRounding state;
    task(p * piece, std::min(count, (p + 1) * piece));
    hwy::FlushStream();
  };
  if (workers != nullptr && pieces > 1) return workers->parallel_for(pieces, one);
  for (std::size_t p = 0; p < pieces; ++p) one(p);
}

/// Outputs of at least this many bytes are stored past the caches: they would not be found there anyway.
constexpr std::size_t kStreamBytes = std::size_t{8} << 20;
inline bool aligned(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % 64 == 0;
}

/// The plan of a call, and its second-level scale, for which the tensor may be read once. False: the reference does it.
bool plan_for(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context,
              BlockPlan& plan, std::optional<float>& tensor_scale);

/// Groups of a piece: hundreds of short ones in whole hundreds of strips, or as many long ones as there is room for.
inline std::size_t piece_groups(const GroupRows& g) {
  const std::size_t fit = kPieceValues / g.group;
  return fit >= 256 ? fit / 256 * 256 : std::max<std::size_t>(1, fit);
}

}  // namespace lowbit::kernels
