// How a language model is quantised in the figures of MR-GPTQ: a method and a rotation by name.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/model/model.hpp"
#include "sim/weights/quantise_model.hpp"

namespace lowbit::mr_gptq {

/// "METHOD" or "METHOD+had:SIZE": rtn, gptq, mr_gptq or smoothquant (sim/weights/method.hpp, with their options) with a
/// block Hadamard on inputs and weights, SIZE a number or G, the group of the format; or "quarot", rounding to nearest
/// after QuaRot's rotations. A SIZE that does not divide the inputs of a layer gives way to the largest power of two
/// that does (128 on 576 features: 64).
struct Recipe {
  std::string method;
  std::string rotation;  ///< "", "G" or a number
};
/// Error: not a recipe.
Recipe parse_recipe(const std::string& name);

/// The quantised model, weights and activations in `format`.
std::shared_ptr<const model::Hooks> quantise(const model::Model& model, const std::string& format,
                                             const std::string& recipe,
                                             const std::vector<std::span<const std::int32_t>>& calibration,
                                             Threads& threads);

}  // namespace lowbit::mr_gptq
