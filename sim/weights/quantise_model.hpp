// The driver: puts the weights of a model on a grid, block by block, with statistics of the flow that the method asks
// for.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "sim/model/forward.hpp"
#include "sim/weights/method.hpp"

namespace lowbit::weights {

/// What a run of the driver is told.
struct ModelJob {
  const Method* method = nullptr;
  Target target;
  /// Target of a group where it differs (another transform for down_proj, say); may be empty.
  std::function<Target(const InputGroup&)> target_of;
  std::vector<int> skip_layers;  ///< left as they are
  std::uint64_t seed = 1;
  /// Texts whose tokens statistics are taken of; none for methods that need none.
  std::vector<std::span<const std::int32_t>> calibration;
  /// Called after each group with its solution, before it is dropped; may keep codes. May be empty.
  std::function<void(const InputGroup&, const Solution&)> solved;
};

/// One linear in the report.
struct LinearReport {
  std::string name;
  double bits = 32;
  Report report;
};

/// How the inputs of a group enter the product.
struct GroupInput {
  std::vector<std::string> linears;
  InputMap map;
};

struct ModelReport {
  std::vector<LinearReport> linears;
  std::vector<GroupInput> inputs;
  double bits_weight = 32, bits_activation = 32;  ///< means over all values in scope
};

/// Replaces the weights of all linear layers but lm_head in `hooks` and attaches their input maps. `hooks` may hold a
/// rotated model; its weights are what is quantised. One input group's statistics are in memory at a time: under
/// Flow::prefix and original, groups are solved as the pass reaches them; under sequential each has a pass of its own.
/// All calibration texts run as one batch. Static second-level scales cover the inputs before and after the weights of
/// their block are quantised. Error: transforms that do not divide (with the linear's name), a method that
/// needs statistics without calibration, fewer calibration tokens than one group of the format has values, and those of
/// the method.
ModelReport quantise_model(model::Hooks& hooks, const ModelJob& job, Threads& threads);

/// The input groups of a layer, weights as in `hooks`.
std::vector<InputGroup> layer_groups(const model::Hooks& hooks, int layer);

/// Attaches an input map to the linears of one group, whose first names the random stream.
void attach_input(model::Hooks& hooks, const std::vector<std::string>& linears, const InputMap& map);

}  // namespace lowbit::weights
