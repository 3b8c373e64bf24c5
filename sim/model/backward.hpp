// Gradients of the mean token loss.
#pragma once
#include <cstdint>
#include <span>

#include "sim/model/forward.hpp"

namespace lowbit::model {

/// Forward and backward pass over texts without a cache. The loss is the mean over all predicted positions (each but
/// the first of each sequence) in nats. Gradients are handed to the hooks of *.input_gradient, *.output_gradient and
/// *.weight_gradient (rows out x in, computed only where a hook asks; the sum over all sequences, given as one
/// sequence); a map on a gradient changes what is propagated. Through a replaced tensor goes what its map's backward()
/// returns (straight through by default). Error: a replaced product or attention, fewer than two tokens in a sequence.
struct LossResult {
  double loss = 0;
  std::vector<double> token_losses;
};
LossResult backward(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads);
/// For many texts of one length: the memory of `tape` is used again. What it holds afterwards is the forward pass.
LossResult backward(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads, Tape& tape);

}  // namespace lowbit::model
