#include "experiments/papers/int_vs_fp/model_tensors.hpp"

#include <fmt/format.h>

#include "formats/error.hpp"
#include "sim/model/backward.hpp"
#include "sim/model/tokens.hpp"

namespace lowbit::int_vs_fp {
namespace {

using model::Linear;

/// Whether the layer reads what the one before it reads.
bool shares_input(Linear linear) {
  return linear == Linear::k_proj || linear == Linear::v_proj || linear == Linear::up_proj;
}

std::string linear_prefix(int layer, Linear linear) {
  return fmt::format("model.layers.{}.{}", layer, model::linear_name(linear));
}

template <class Visit>
void for_each_linear(const model::Config& config, Visit visit) {
  for (int layer = 0; layer < static_cast<int>(config.layers); ++layer)
    for (int i = 0; i < model::kLinears; ++i) visit(layer, static_cast<Linear>(i));
}

}  // namespace

std::vector<std::int32_t> evaluation_tokens(const std::string& tokens, std::size_t windows, std::size_t context,
                                            const model::Config& config) {
  const std::string path =
      tokens == kPersuasion ? std::string(LOWBIT_SOURCE_DIR) + "/results/reference/persuasion_tokens.npy" : tokens;
  auto all = model::read_tokens(path, config.vocabulary);
  const std::size_t found = model::windows(all, context, windows, config.context).size();
  if (found < windows)
    throw_error(ExitCode::bad_data, "'{}': {} tokens give {} windows of {}, not {}", path, all.size(), found, context,
                windows);
  return all;
}

std::vector<std::pair<std::string, Role>> model_tensor_names(const std::string& model) {
  std::vector<std::pair<std::string, Role>> names;
  for_each_linear(model::read_config(model::find_model(model)), [&](int layer, Linear linear) {
    const std::string prefix = linear_prefix(layer, linear);
    names.emplace_back(prefix + ".weight", Role::W);
    names.emplace_back(prefix + ".x", Role::X);
    names.emplace_back(prefix + ".dy", Role::dY);
  });
  return names;
}

WindowTensors capture_window(const model::Model& model, std::span<const std::int32_t> window, int threads) {
  WindowTensors tensors;
  model::Hooks hooks(model);
  const auto keep = [&](const std::string& site, const std::string& name) {
    hooks.observe(site, [&tensors, name](const model::Tensor&, model::ConstRows rows) {
      auto copy = std::make_shared<model::Matrix>(rows.rows, rows.columns);
      model::copy_rows(rows, *copy);
      tensors[name] = std::move(copy);
    });
  };
  for_each_linear(model.config(), [&](int layer, Linear linear) {
    const std::string prefix = linear_prefix(layer, linear);
    if (!shares_input(linear)) keep(prefix + ".input", prefix + ".x");
    keep(prefix + ".output_gradient", prefix + ".dy");
  });
  Threads pool(static_cast<std::size_t>(threads));
  const model::TokenSpan span{window, nullptr};
  model::backward(hooks, {&span, 1}, pool);
  for_each_linear(model.config(), [&](int layer, Linear linear) {
    if (!shares_input(linear)) return;
    const auto source = static_cast<Linear>(static_cast<int>(linear) - 1);
    tensors[linear_prefix(layer, linear) + ".x"] = tensors.at(linear_prefix(layer, source) + ".x");
  });
  return tensors;
}

}  // namespace lowbit::int_vs_fp
