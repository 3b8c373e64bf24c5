// Running one block of a model on stored activations.
#pragma once
#include "sim/model/forward.hpp"

namespace lowbit::weights {

/// The residual stream before a block, for all tokens of a batch; empty before the first block of a pass.
using Residual = model::Matrix;

/// Runs block `layer` of `hooks` on `before` (layer 0: on the embeddings of the tokens) and returns the stream behind
/// it (empty for the last block). The pass control of `hooks` is used and cleared.
Residual run_block(model::Hooks& hooks, int layer, const Residual& before, std::span<const model::TokenSpan> texts,
                   Threads& threads);

}  // namespace lowbit::weights
