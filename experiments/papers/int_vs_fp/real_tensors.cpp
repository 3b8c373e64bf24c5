#include "experiments/papers/int_vs_fp/real_tensors.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>

#include "experiments/core/model_param.hpp"
#include "experiments/papers/int_vs_fp/model_tensors.hpp"
#include "formats/error.hpp"
#include "sim/model/tokens.hpp"
#include "sim/source/tensor_source.hpp"

namespace lowbit::int_vs_fp {
namespace {

namespace fs = std::filesystem;

/// The samples lie in the source tree that the program was built from.
std::vector<std::string> sample_paths(const std::string& tensors) {
  const std::string folder = std::string(LOWBIT_SOURCE_DIR) + "/results/reference/";
  std::vector<std::string> paths{folder + "minilm_l6_v2_sample.safetensors"};
  if (tensors == kSample) paths.push_back(folder + "smollm2_135m_sample.h5");
  return paths;
}

std::string canonical_tensors(const std::string& text) {
  if (text != "auto") return text;
  try {
    model::find_model(kDefaultModel);
    return std::string(kModelPrefix) + kDefaultModel;
  } catch (const Error&) {
    return kSample;
  }
}

/// Whether `name` matches one of the globs in `patterns`, separated by '|'.
bool matches(const std::string& name, const std::string& patterns) {
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

/// What the selection's files hold. The samples are opened once a program: every plan asks for their names.
std::vector<StoredTensor> stored_tensors(const Selection& selection) {
  if (!selection.is_sample()) return open_tensors(selection.tensors);
  static std::mutex mutex;
  static std::map<std::string, std::vector<StoredTensor>> samples;
  const std::lock_guard lock(mutex);
  auto& sample = samples[selection.tensors];
  if (sample.empty())
    for (const auto& path : sample_paths(selection.tensors))
      for (auto& tensor : open_tensors(path)) sample.push_back(std::move(tensor));
  return sample;
}

std::vector<StoredTensor> usable_tensors(const Selection& selection) {
  auto all = stored_tensors(selection);
  std::erase_if(
      all, [&](const StoredTensor& t) { return t.shape.size() < 2 || !t.is_float() || !role_of(t.name, selection); });
  if (all.empty())
    throw_error(ExitCode::bad_data,
                "'{}': no tensor of two axes has a name that matches weights ({}), activations ({}) or gradients ({})",
                selection.tensors, selection.weights, selection.activations, selection.gradients);
  return all;
}

void add_operand(std::vector<Operand>& all, const std::string& name, Role role, const Selection& selection) {
  all.push_back({name, name, role});
  if (selection.blockings == "all") all.push_back({name + "^T", name, static_cast<Role>(static_cast<int>(role) + 3)});
}

std::size_t sequences_of(const StoredTensor& tensor) {
  std::size_t n = 1;
  for (std::size_t i = 0; i + 2 < tensor.shape.size(); ++i) n *= tensor.shape[i];
  return n;
}

std::size_t sequence_count(const Selection& selection) {
  const auto wanted = static_cast<std::size_t>(selection.sequences);
  if (selection.is_model()) return wanted;
  std::size_t most = 1;
  for (const auto& tensor : usable_tensors(selection))
    if (!is_weight(*role_of(tensor.name, selection))) most = std::max(most, sequences_of(tensor));
  return std::min(most, wanted);
}

/// `slices` matrices of rows x columns, blocks along the columns or, transposed, along the rows.
OperandMatrix arrange(const float* x, std::size_t slices, std::size_t rows, std::size_t columns, bool transposed) {
  OperandMatrix out;
  const std::size_t size = rows * columns;
  if (!transposed) {
    out.x.assign(x, x + slices * size);
    out.rows = slices * rows;
    out.columns = columns;
    return out;
  }
  out.x.resize(slices * size);
  out.rows = slices * columns;
  out.columns = rows;
  constexpr std::size_t kTile = 32;
  for (std::size_t s = 0; s < slices; ++s)
    for (std::size_t i0 = 0; i0 < rows; i0 += kTile)
      for (std::size_t j0 = 0; j0 < columns; j0 += kTile)
        for (std::size_t j = j0; j < std::min(j0 + kTile, columns); ++j)
          for (std::size_t i = i0; i < std::min(i0 + kTile, rows); ++i)
            out.x[s * size + j * rows + i] = x[s * size + i * columns + j];
  return out;
}

}  // namespace

struct TensorSource::Window {
  WindowTensors tensors;
};

struct TensorSource::Parts {
  Selection selection;
  std::vector<Operand> operands;
  std::map<std::string, StoredTensor> stored;
  std::optional<model::Model> model;
  std::map<std::string, std::size_t> parameter;  ///< of the model's weights
  std::vector<std::int32_t> tokens;
};

TensorSource::TensorSource(const Selection& selection, int threads) : parts_(std::make_unique<Parts>()) {
  parts_->selection = selection;
  parts_->operands = int_vs_fp::operands(selection);
  if (!selection.is_model()) {
    for (auto& tensor : usable_tensors(selection)) parts_->stored.emplace(tensor.name, tensor);
    return;
  }
  Threads pool(static_cast<std::size_t>(threads));
  const std::string name = selection.tensors.substr(std::string_view(kModelPrefix).size());
  const auto config = model::read_config(model::find_model(name));
  parts_->tokens = evaluation_tokens(selection.tokens, static_cast<std::size_t>(selection.sequences),
                                     static_cast<std::size_t>(selection.context), config);
  parts_->model.emplace(model::Model::load(name, pool));
  const auto& parameters = parts_->model->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) parts_->parameter[parameters[i].name] = i;
}

TensorSource::~TensorSource() = default;

const std::vector<Operand>& TensorSource::operands() const {
  return parts_->operands;
}

std::shared_ptr<const TensorSource::Window> TensorSource::window(std::size_t sequence, int threads) const {
  auto window = std::make_shared<Window>();
  if (!parts_->model) return window;
  const auto context = static_cast<std::size_t>(parts_->selection.context);
  const std::span<const std::int32_t> all(parts_->tokens);
  window->tensors = capture_window(*parts_->model, all.subspan(sequence * context, context), threads);
  return window;
}

std::optional<OperandMatrix> TensorSource::load(const Operand& operand, std::size_t sequence,
                                                const Window& window) const {
  const bool transposed = is_transposed(operand.role);
  if (is_weight(operand.role) && sequence > 0) return std::nullopt;
  if (parts_->model && is_weight(operand.role)) {
    const std::size_t i = parts_->parameter.at(operand.tensor);
    const auto& parameter = parts_->model->parameters()[i];
    return arrange(parts_->model->data(i), 1, parameter.rows, parameter.columns, transposed);
  }
  if (parts_->model) {
    const auto& matrix = *window.tensors.at(operand.tensor);
    return arrange(matrix.data(), 1, matrix.rows(), matrix.columns(), transposed);
  }
  const StoredTensor& tensor = parts_->stored.at(operand.tensor);
  const std::size_t slices = sequences_of(tensor), columns = tensor.shape.back();
  const std::size_t rows = tensor.shape[tensor.shape.size() - 2];
  if (!is_weight(operand.role) && sequence >= slices) return std::nullopt;
  const auto x = tensor.load_float();
  if (is_weight(operand.role)) return arrange(x.data(), slices, rows, columns, transposed);
  return arrange(x.data() + sequence * rows * columns, 1, rows, columns, transposed);
}

Experiment with_tensor_axes(Experiment experiment, std::int64_t default_sequences, const char* default_tensors) {
  Domain tensors = input_path();
  tensors.canonical = canonical_tensors;
  return experiment
      .param(
          "tensors", default_tensors,
          "file or folder of tensors (.safetensors, .npy, .h5); model:NAME or model:FOLDER: a model at work; sample: "
          "the committed tensors, minilm: of these the weights; auto: the model smollm2-135m if it is there, else the "
          "sample",
          tensors)
      .param("weights", "*weight*|*kernel*", "globs of weights W, out x in, separated by |")
      .param("activations", "*.input|*.x|x.*|*activation*", "globs of activations X, tokens x channels")
      .param("gradients", "*.grad_output|*.dy|dy.*|*grad*", "globs of output gradients dY, tokens x channels")
      .param("leave_out", "*embed*|*lm_head*|*norm*|*Norm*", "globs of tensors that are no operands of a linear layer")
      .param("blockings", "all",
             "forward: groups along the last axis; all: along the last but one as well (W^T, X^T, dY^T)",
             one_of({"forward", "all"}))
      .param("tokens", kPersuasion, "text that the model reads: a .npy of token numbers, or persuasion", input_path())
      .param("sequences", default_sequences, "windows of the text; of a file, at most", between(1, 100000))
      .param("context", 512, "tokens of a window", between(32, 1 << 20))
      .axis(
          "tensor",
          [](const Params& params) {
            std::vector<std::string> names;
            for (const auto& operand : operands(Selection::of(params))) names.push_back(operand.name);
            return texts(std::move(names));
          },
          "", "operand of a linear layer; ^T: blocked along the other axis")
      .axis(
          "sequence", [](const Params& params) { return indices(sequence_count(Selection::of(params))); }, "1",
          "window of the text; weights belong to all and stand at the first")
      .unavailable_when(sample_missing);
}

std::vector<Operand> operands(const Selection& selection) {
  std::vector<Operand> all;
  if (selection.is_model()) {
    for (const auto& [name, role] : model_tensor_names(selection.tensors.substr(std::string_view(kModelPrefix).size())))
      add_operand(all, name, role, selection);
    return all;
  }
  for (const auto& tensor : usable_tensors(selection))
    add_operand(all, tensor.name, *role_of(tensor.name, selection), selection);
  return all;
}

const Operand& operand_of(const std::vector<Operand>& operands, const std::string& name) {
  for (const auto& operand : operands) {
    if (operand.name == name) return operand;
  }
  throw_error(ExitCode::usage, "no operand '{}' among the {} of these tensors", name, operands.size());
}

std::string sample_missing(const Params& params) {
  const std::string& tensors = params.text("tensors");
  if (tensors != kSample && tensors != kWeightSample) return "";
  for (const auto& path : sample_paths(tensors))
    if (!fs::exists(path)) return fmt::format("the sample '{}' is not there; --tensors FILE takes other tensors", path);
  return "";
}

std::string describe(const Selection& selection) {
  if (selection.tensors == kWeightSample) return "ours: 64 rows of each of MiniLM's 36 float32 weights";
  if (selection.is_sample())
    return "ours: the committed samples, 64 rows of each of MiniLM's 36 weights and nine activations and gradients of "
           "SmolLM2-135M";
  if (selection.is_model())
    return fmt::format("ours: all linear layers of {} over {} windows of {} tokens{}", selection.tensors.substr(6),
                       selection.sequences, selection.context,
                       selection.tensors == std::string(kModelPrefix) + kDefaultModel
                           ? "; its weights lie on a 4-bit grid (Q4_1), results for W and W^T do not carry over"
                           : "");
  return fmt::format("ours: tensors of {}", selection.tensors);
}

}  // namespace lowbit::int_vs_fp
