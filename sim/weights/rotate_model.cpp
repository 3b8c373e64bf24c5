#include "sim/weights/rotate_model.hpp"

#include <fmt/format.h>

#include "formats/error.hpp"
#include "sim/model/model.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit::weights {
namespace {

using model::Hooks;
using model::Parameter;
using model::Rows;

void scale_columns(Rows w, const Rows& gain) {
  for (std::size_t i = 0; i < w.rows; ++i)
    for (std::size_t c = 0; c < w.columns; ++c) w.row(i)[c] *= gain.data[c];
}

void fold_gain(Hooks& hooks, const std::string& norm, const std::vector<std::string>& linears) {
  const Rows gain = hooks.parameter(norm);
  for (const std::string& name : linears) scale_columns(hooks.parameter(name + ".weight"), gain);
  for (std::size_t c = 0; c < gain.columns; ++c) gain.data[c] = 1;
}

/// w T along the input features.
void rotate_inputs(Hooks& hooks, const std::string& name, const Transform& t) {
  const Rows w = hooks.parameter(name + ".weight");
  const Layout layout = Layout::matrix(w.rows, w.columns);
  check_fits(t, layout, name);
  apply(t, layout, w.data, w.data);
}

/// T^T w along the output features: the outputs come out rotated.
void rotate_outputs(Hooks& hooks, const std::string& name, const Transform& t) {
  const Rows w = hooks.parameter(name + ".weight");
  const Layout layout({w.rows, w.columns}, 0);
  check_fits(t, layout, name);
  apply(t, layout, w.data, w.data);
}

void rotate_layer(Hooks& hooks, std::size_t layer, const Transform& r1, const Transform& r2) {
  const std::string prefix = fmt::format("model.layers.{}.", layer), attention = prefix + "self_attn.",
                    mlp = prefix + "mlp.";
  fold_gain(hooks, prefix + "input_layernorm.weight",
            {attention + "q_proj", attention + "k_proj", attention + "v_proj"});
  fold_gain(hooks, prefix + "post_attention_layernorm.weight", {mlp + "gate_proj", mlp + "up_proj"});
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) rotate_inputs(hooks, attention + name, r1);
  for (const char* name : {"gate_proj", "up_proj"}) rotate_inputs(hooks, mlp + name, r1);
  rotate_outputs(hooks, attention + "o_proj", r1);
  rotate_outputs(hooks, mlp + "down_proj", r1);
  rotate_outputs(hooks, attention + "v_proj", r2);
  rotate_inputs(hooks, attention + "o_proj", r2);
}

}  // namespace

std::string rotate_model(Hooks& hooks, std::uint64_t seed) {
  const model::Config& c = hooks.model().config();
  if (c.qkv_bias || c.o_bias || c.mlp_bias)
    throw_error(ExitCode::usage, "a model whose linear layers have biases cannot be rotated here");
  const auto r1 = parse_transform(fmt::format("rhad:{}:seed={}", c.hidden, seed));
  const auto r2 = parse_transform(fmt::format("had:{}", c.head_dim));
  const std::string r4 = fmt::format("had:{}", c.intermediate);
  parse_transform(r4);
  // of a model with tied embeddings lm_head becomes a weight of its own before the embedding changes
  const std::string head = "lm_head";
  hooks.parameter(head + ".weight");
  fold_gain(hooks, "model.norm.weight", {head});
  rotate_inputs(hooks, head, *r1);
  rotate_inputs(hooks, "model.embed_tokens", *r1);
  for (std::size_t layer = 0; layer < c.layers; ++layer) rotate_layer(hooks, layer, *r1, *r2);
  return r4;
}

}  // namespace lowbit::weights
