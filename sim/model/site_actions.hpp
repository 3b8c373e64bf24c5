// Running the hooks of a tensor: shared by the forward and the backward pass.
#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

#include "sim/model/hooks.hpp"
#include "sim/model/model.hpp"

namespace lowbit::model {

/// Maps and observers of `site`, in their order, on the rows of each sequence.
void act(const Hooks& hooks, std::size_t site, const std::vector<Sequence>& sequences, Threads& threads, Rows rows);

/// backward() of the maps of `site`, last map first.
void act_backward(const Hooks& hooks, std::size_t site, const std::vector<Sequence>& sequences, Threads& threads,
                  Rows gradient);

/// The parts of the sequences that lie in rows first .. first + count - 1, as sequences of their own.
std::vector<Sequence> cut(const std::vector<Sequence>& sequences, std::size_t first, std::size_t count);

/// Whether any map (not only observers) is attached.
bool has_maps(const Hooks& hooks, std::size_t site);

/// Runs work(first, count) over pieces of kRowPiece rows, in parallel; pieces do not depend on the threads.
inline constexpr std::size_t kRowPiece = 32;
template <class Work>
void for_row_pieces(std::size_t rows, Threads& threads, Work work) {
  threads.parallel_for((rows + kRowPiece - 1) / kRowPiece,
                       [&](std::size_t i) { work(i * kRowPiece, std::min(kRowPiece, rows - i * kRowPiece)); });
}

}  // namespace lowbit::model
