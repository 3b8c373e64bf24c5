// Rotating a whole model so that its function stays: QuaRot, a step before any weight method.
#pragma once
#include <cstdint>
#include <string>

#include "sim/model/hooks.hpp"

namespace lowbit::weights {

/// Folds the gains of the norms into the linear layers behind them, then rotates: the residual stream by a randomised
/// Hadamard matrix of the hidden size (R1: embedding, inputs of q, k, v, gate, up and lm_head, outputs of o and down)
/// and the values of each head by a Hadamard matrix (R2: outputs of v, inputs of o). The model computes what it did, up
/// to rounding. R3 (queries and keys) is left out: it matters for quantised caches alone. Ashkboos et al., QuaRot,
/// arXiv:2404.00456, section 4.
/// Differs from the paper: no Hadamard matrix across heads before o_proj (none exists for 9 heads; SpinQuant's R2).
/// Returns the transform that belongs online before down_proj (R4), the full Hadamard of the intermediate size.
/// Error (usage): sizes without a Hadamard matrix, models with biases in their linear layers.
std::string rotate_model(model::Hooks& hooks, std::uint64_t seed);

}  // namespace lowbit::weights
