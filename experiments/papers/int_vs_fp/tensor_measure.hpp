// What figure 4, its picture by layer and Table 2 share: the sweep over real tensors and what is measured on one.
#pragma once
#include <optional>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "experiments/papers/int_vs_fp/real_tensors.hpp"
#include "formats/format.hpp"

namespace lowbit::int_vs_fp {

/// Axes tensor, sequence and transform (id; rhad: random signs and Hadamard of order 32 along the blocks, fresh for
/// each operand and sequence; the paper rotates every tensor with 32 x 32, NV formats too), the shared state "values"
/// (std::optional<OperandMatrix>, rotated) and the output role.
Experiment on_tensors(Experiment experiment, std::int64_t default_sequences, const char* default_tensors = "auto");

/// The operand of a point of such an experiment.
const Operand& operand_at(const Point& point);

/// QSNR in dB over the whole operand (one ratio of sums); NaN where nothing is lost or everything is zero.
double measured_qsnr(const Format& format, const OperandMatrix& values);

/// Mean crest factor of the blocks of `group` values (kChannelGroup: whole rows), zero blocks left out.
double mean_crest_factor(const OperandMatrix& values, long group);

/// Rows with a note on what the tensors are, and that weights are missing where sequence 0 is left out; expectations of
/// another model (quantities over some of the operands) that these tensors cannot answer become not_run rows that say
/// what would run them.
std::vector<Row> with_notes(std::vector<Row> rows, const Results& results, const std::vector<Reference>& references);

}  // namespace lowbit::int_vs_fp
