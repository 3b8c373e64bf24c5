#include "sim/model/hooks.hpp"

#include <fnmatch.h>

#include <algorithm>

#include "formats/error.hpp"
#include "formats/format.hpp"
#include "sim/model/attention.hpp"
#include "sim/model/model.hpp"

namespace lowbit::model {
namespace {

class FunctionMap : public TensorMap {
 public:
  explicit FunctionMap(std::function<void(const Tensor&, Rows)> function) : function_(std::move(function)) {}
  void apply(const Tensor& tensor, Rows rows) override { function_(tensor, rows); }

 private:
  std::function<void(const Tensor&, Rows)> function_;
};

std::string without_suffix(const std::string& name) {
  return name.substr(0, name.size() - std::string(".weight").size());
}

// Indices of the weights of linear layers whose name (without ".weight") matches.
std::vector<std::size_t> match_linears(const Model& model, std::string_view glob) {
  std::vector<std::size_t> found;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    if (model.parameters()[i].linear < 0) continue;
    names.push_back(without_suffix(model.parameters()[i].name));
    if (fnmatch(std::string(glob).c_str(), names.back().c_str(), 0) == 0) found.push_back(i);
  }
  if (found.empty())
    throw_error(ExitCode::usage, "'{}' matches no linear layer of the model; names are like {}", glob,
                did_you_mean(glob, names).value_or(names.back()));
  return found;
}

std::size_t linear_slot(int layer, int linear, std::size_t layers) {
  if (linear == kLinears) return layers * kLinears;
  return static_cast<std::size_t>(layer) * kLinears + static_cast<std::size_t>(linear);
}

}  // namespace

std::shared_ptr<TensorMap> map(std::function<void(const Tensor&, Rows)> function) {
  return std::make_shared<FunctionMap>(std::move(function));
}

Hooks::Hooks(const Model& model)
    : model_(&model),
      actions_(model.sites().size()),
      used_(model.sites().size()),
      owned_(model.parameters().size()),
      own_data_(model.parameters().size()),
      linear_(model.config().layers * kLinears + 1),
      attention_(model.config().layers) {}

Hooks::Hooks(const Hooks& other)
    : model_(other.model_),
      actions_(other.actions_),
      used_(other.used_),
      owned_(other.owned_),
      own_data_(other.own_data_),
      linear_(other.linear_),
      attention_(other.attention_),
      cache_(other.cache_),
      control_(other.control_) {
  for (std::size_t i = 0; i < owned_.size(); ++i)
    if (!owned_[i].empty()) own_data_[i] = owned_[i].data();
}

const float* Hooks::data(std::size_t parameter) const {
  return own_data_[parameter] != nullptr ? own_data_[parameter] : model_->data(parameter);
}

void Hooks::add(std::string_view site_glob, const Action& action) {
  for (const std::size_t site : model_->sites().match(site_glob)) {
    actions_[site].push_back(action);
    used_[site] = 1;
  }
}

void Hooks::replace(std::string_view site_glob, std::shared_ptr<TensorMap> map) {
  add(site_glob, {std::move(map), {}});
}

void Hooks::observe(std::string_view site_glob, Observer observer) {
  add(site_glob, {nullptr, std::move(observer)});
}

Rows Hooks::own(std::size_t index) {
  const Parameter& parameter = model_->parameters()[index];
  if (owned_[index].empty()) {
    owned_[index] = Matrix(parameter.rows, parameter.columns);
    std::copy_n(model_->data(index), parameter.rows * parameter.columns, owned_[index].data());
    own_data_[index] = owned_[index].data();
  }
  return owned_[index];
}

void Hooks::weight(std::string_view linear_glob, const std::function<void(const Parameter&, Rows)>& change) {
  for (const std::size_t i : match_linears(*model_, linear_glob)) change(model_->parameters()[i], own(i));
}

Rows Hooks::parameter(std::string_view name) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    if (!model_->has_parameter(i)) continue;
    if (model_->parameters()[i].name == name) return own(i);
    names.push_back(model_->parameters()[i].name);
  }
  throw_error(ExitCode::usage, "'{}': no such parameter; the nearest is {}", name,
              did_you_mean(name, names).value_or(names.front()));
}

void Hooks::linear(std::string_view linear_glob, std::shared_ptr<LinearOp> op) {
  for (const std::size_t i : match_linears(*model_, linear_glob)) {
    const Parameter& parameter = model_->parameters()[i];
    linear_[linear_slot(parameter.layer, parameter.linear, attention_.size())] = op;
  }
}

LinearOp* Hooks::linear_op(int layer, int linear) const {
  return linear_[linear_slot(layer, linear, attention_.size())].get();
}

void Hooks::attention(std::string_view layer_glob, std::shared_ptr<AttentionOp> op) {
  bool found = false;
  for (std::size_t layer = 0; layer < attention_.size(); ++layer) {
    if (fnmatch(std::string(layer_glob).c_str(), fmt::format("model.layers.{}", layer).c_str(), 0) != 0) continue;
    attention_[layer] = op;
    found = true;
  }
  if (!found)
    throw_error(ExitCode::usage, "'{}' matches no layer; layers are model.layers.0 to model.layers.{}", layer_glob,
                attention_.size() - 1);
}

std::unique_ptr<KvCache> Hooks::make_cache() const {
  if (cache_) return cache_->make(*this);
  const Config& c = model_->config();
  return std::make_unique<PlainCache>(c.layers, c.kv_heads, c.head_dim);
}

}  // namespace lowbit::model
