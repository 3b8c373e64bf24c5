#include "experiments/papers/mr_gptq/model_recipe.hpp"

#include <fmt/format.h>

#include <numeric>

#include "formats/error.hpp"
#include "sim/weights/rotate_model.hpp"

namespace lowbit::mr_gptq {
namespace {

/// Largest power of two up to `size` that divides `width`.
std::size_t fitting(std::size_t size, std::size_t width) {
  while (width % size != 0) size /= 2;
  return size;
}

}  // namespace

Recipe parse_recipe(const std::string& name) {
  const std::size_t plus = name.find("+had:");
  Recipe recipe{name.substr(0, plus), plus == name.npos ? "" : name.substr(plus + 5)};
  const auto refuse = [&](const char* reason) {
    throw_error(ExitCode::usage,
                "method '{}': {} (accepted: METHOD or METHOD+had:SIZE with SIZE G or a power of two, or quarot)", name,
                reason);
  };
  if (plus != name.npos && recipe.rotation != "G" && recipe.rotation != "8" && recipe.rotation != "16" &&
      recipe.rotation != "32" && recipe.rotation != "64" && recipe.rotation != "128" && recipe.rotation != "256")
    refuse("the size of the rotation is not 8 to 256 or G");
  if (recipe.method == "quarot") {
    if (!recipe.rotation.empty()) refuse("quarot has its own rotations");
  } else {
    weights::parse_method(recipe.method);
  }
  return recipe;
}

std::shared_ptr<const model::Hooks> quantise(const model::Model& model, const std::string& format,
                                             const std::string& name,
                                             const std::vector<std::span<const std::int32_t>>& calibration,
                                             Threads& threads) {
  const Recipe recipe = parse_recipe(name);
  auto hooks = std::make_shared<model::Hooks>(model);
  weights::ModelJob job;
  job.target.weight = weights::OperandFormat::parse(format);
  job.target.activation = job.target.weight;
  job.target.fuse_scales = !job.target.weight.dagger && job.target.weight.format.like == "fp_quant" &&
                           job.target.weight.format.second_level != SecondLevel::none;
  job.calibration = calibration;
  std::string online;
  if (recipe.method == "quarot") online = weights::rotate_model(*hooks, 1);
  const auto method = weights::parse_method(recipe.method == "quarot" ? "rtn" : recipe.method);
  job.method = method.get();
  job.target_of = [&](const weights::InputGroup& group) {
    weights::Target target = job.target;
    if (!online.empty() && group.name.ends_with("down_proj")) target.transform = online;
    if (recipe.rotation.empty()) return target;
    const std::size_t size = recipe.rotation == "G" ? target.weight.format.group_size : std::stoul(recipe.rotation);
    target.transform = fmt::format("had:{}", fitting(size, group.width()));
    return target;
  };
  weights::quantise_model(*hooks, job, threads);
  return hooks;
}

}  // namespace lowbit::mr_gptq
