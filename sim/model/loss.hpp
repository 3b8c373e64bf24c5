// Losses of next-token prediction, in double.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sim/model/forward.hpp"

namespace lowbit::model {

/// -log softmax(logits)[target] in nats; statistics in double. n > 0.
double token_loss(const float* logits, std::size_t n, std::int32_t target);

/// Loss of each position but the first of each sequence of a pass: row r of a sequence predicts its token r + 1. In the
/// order of the rows. `tokens`: those of the pass, row by row.
std::vector<double> token_losses(const Hooks& hooks, const PassResult& pass, std::span<const std::int32_t> tokens,
                                 Threads& threads);

/// Sum in the order of the values.
double mean(std::span<const double> values);

}  // namespace lowbit::model
