// Operands of a language model at work: weights, and inputs and output gradients of every linear layer over one window
// of a text.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "experiments/papers/int_vs_fp/real_tensors.hpp"
#include "sim/model/model.hpp"

namespace lowbit::int_vs_fp {

/// The tokens of `tokens`: a .npy, or "persuasion", the committed ones of Jane Austen's Persuasion under SmolLM2's
/// tokenizer. Error: those of the reader, fewer than windows * context.
std::vector<std::int32_t> evaluation_tokens(const std::string& tokens, std::size_t windows, std::size_t context,
                                            const model::Config& config);
inline constexpr const char* kPersuasion = "persuasion";

/// Names and roles (W, X, dY) of the tensors of all linear layers but lm_head, as `lowbit capture` writes them. Reads
/// config.json alone.
std::vector<std::pair<std::string, Role>> model_tensor_names(const std::string& model);

/// X and dY by name. q, k and v (gate and up) read one tensor, held once.
using WindowTensors = std::map<std::string, std::shared_ptr<const model::Matrix>>;
/// Forward and backward pass over one window; dY is the gradient of its mean token loss.
WindowTensors capture_window(const model::Model& model, std::span<const std::int32_t> window, int threads);

}  // namespace lowbit::int_vs_fp
