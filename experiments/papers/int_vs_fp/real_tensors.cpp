#include "experiments/papers/int_vs_fp/real_tensors.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <cassert>
#include <filesystem>
#include <optional>

#include "formats/error.hpp"
#include "sim/source/tensor_source.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr const char* kSample = "sample";

/// The sample lies in the source tree that the program was built from.
std::string sample_path() {
  return std::string(LOWBIT_SOURCE_DIR) + "/results/reference/minilm_l6_v2_sample.safetensors";
}

/// Whether `name` matches one of the globs in `patterns`, separated by '|'.
bool matches(const std::string& name, std::string patterns) {
  for (std::size_t begin = 0; begin <= patterns.size();) {
    const auto end = std::min(patterns.find('|', begin), patterns.size());
    if (fnmatch(patterns.substr(begin, end - begin).c_str(), name.c_str(), 0) == 0) return true;
    begin = end + 1;
  }
  return false;
}

std::optional<Role> role_of(const std::string& name, const Selection& selection) {
  if (matches(name, selection.leave_out)) return std::nullopt;
  if (matches(name, selection.gradients)) return Role::dY;
  if (matches(name, selection.activations)) return Role::X;
  if (matches(name, selection.weights)) return Role::W;
  return std::nullopt;
}

Role transposed(Role role) {
  return static_cast<Role>(static_cast<int>(role) + 3);
}

}  // namespace

Experiment with_tensor_params(Experiment experiment) {
  return experiment
      .param("tensors", kSample,
             "file or folder of tensors (.safetensors, .npy, .h5, model folder); sample: rows of MiniLM's weights", input_path())
      .param("weights", "*weight*|*kernel*", "globs of weights W, out x in, separated by |")
      .param("activations", "*.input|*.x|x.*|*activation*", "globs of activations X, tokens x channels")
      .param("gradients", "*.grad_output|*.dy|dy.*|*grad*", "globs of output gradients dY, tokens x channels")
      .param("leave_out", "*embed*|*lm_head*|*norm*|*Norm*", "globs of tensors that are no operands of a linear layer")
      .param("blockings", "forward",
             "forward: groups along the last axis; all: along the last but one as well (W^T, X^T, dY^T)",
             one_of({"forward", "all"}));
}

std::vector<Operand> operands(const Selection& selection) {
  const auto& path = selection.tensors;
  std::vector<Operand> all;
  for (auto& tensor : open_tensors(path == kSample ? sample_path() : path)) {
    const auto role = role_of(tensor.name, selection);
    if (!role || tensor.shape.size() < 2 || !tensor.is_float()) continue;
    all.push_back({tensor.name, tensor, *role});
    if (selection.blockings == "all") all.push_back({tensor.name + "^T", tensor, transposed(*role)});
  }
  if (all.empty()) {
    throw_error(ExitCode::bad_data,
                "'{}': no tensor of two axes has a name that matches weights ({}), activations ({}) or gradients ({})",
                path, selection.weights, selection.activations, selection.gradients);
  }
  return all;
}

const Operand& operand_of(const std::vector<Operand>& operands, const std::string& name) {
  for (const auto& operand : operands) {
    if (operand.name == name) return operand;
  }
  throw_error(ExitCode::usage, "no operand '{}' among the {} of this file", name, operands.size());
}

Values operand_names(const Params& params) {
  std::vector<std::string> names;
  for (const auto& operand : operands(Selection::of(params))) names.push_back(operand.name);
  return texts(std::move(names));
}

std::string sample_missing(const Params& params) {
  if (params.text("tensors") != kSample || std::filesystem::exists(sample_path())) return "";
  return fmt::format("the sample '{}' is not there; --tensors FILE takes other tensors", sample_path());
}

}  // namespace lowbit::int_vs_fp
