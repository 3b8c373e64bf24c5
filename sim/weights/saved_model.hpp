// A quantised model as a folder: weights in their original basis, so that any reader computes the weight-only model,
// their packed codes, and lowbit.json with what happens to the inputs of the linear layers.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "sim/model/hooks.hpp"
#include "sim/weights/quantise_model.hpp"
#include "sim/weights/saved_codes.hpp"

namespace lowbit::weights {

/// Bytes of a file of the folder, handed over one file at a time.
using WriteFile = std::function<void(const std::string& name, std::span<const std::byte> bytes)>;

/// What lowbit.json says beside the inputs.
struct SavedFacts {
  std::string method, weight_format, activation_format, transform;  ///< activation_format empty: none
  std::vector<std::int32_t> calibration;                            ///< tokens; their first 32 are kept
};

/// Writes config.json (float32 weights), the tokenizer's files that the model has, model.safetensors (every parameter
/// of `hooks` in float32, transforms and divisors of the inputs undone), codes/weights.safetensors (saved_codes.hpp) if
/// there are codes, in a folder of their own so that no reader takes them for parameters, and at last lowbit.json,
/// which names the file and the format of each layer's codes.
void save_model(const model::Hooks& hooks, const ModelReport& report, const SavedFacts& facts, const CodesWriter& codes,
                const WriteFile& write);

/// Whether the folder holds a lowbit.json.
bool is_saved(const std::string& folder);

/// What the evaluation of a saved model wants to know.
struct SavedSummary {
  std::vector<std::int32_t> calibration_begins;  ///< first calibration tokens, at most 32
  double bits_weight = 32, bits_activation = 32;
};

/// Puts a saved model to work: its weights are the decoded codes, where there are none those of model.safetensors
/// taken into the basis of the product again; its input maps are attached. Equal to the quantised model in memory where
/// there are codes or no transform, else up to the rounding of the transform and back. Error (bad_data): a lowbit.json
/// that does not fit the model, codes that are not those of the weights.
SavedSummary attach_saved(model::Hooks& hooks, const std::string& folder);

}  // namespace lowbit::weights
