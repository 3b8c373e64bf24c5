#include "sim/model/config.hpp"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "formats/error.hpp"

namespace lowbit::model {
namespace {

using nlohmann::json;

// Reads keys of one JSON object with messages that name file, key, value and what is accepted.
class Reader {
 public:
  Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  [[noreturn]] void refuse(const std::string& key, const std::string& accepted) const {
    const std::string value = object_.contains(key) ? object_.at(key).dump() : "missing";
    throw_error(ExitCode::bad_data, "{}: \"{}\" is {}, {}", where_, key,
                value.size() > 80 ? value.substr(0, 77) + "..." : value, accepted);
  }
  bool has(const std::string& key) const { return object_.contains(key) && !object_.at(key).is_null(); }
  const json& at(const std::string& key) const { return object_.at(key); }

  std::size_t count(const std::string& key) const {
    if (!has(key) || !at(key).is_number_integer() || at(key).get<double>() < 1 || at(key).get<double>() > 1e9)
      refuse(key, "expected a whole number from 1 to 10^9");
    return at(key).get<std::size_t>();
  }
  std::size_t count(const std::string& key, std::size_t fallback) const { return has(key) ? count(key) : fallback; }
  double positive(const std::string& key) const {
    if (!has(key) || !at(key).is_number() || !std::isfinite(at(key).get<double>()) || at(key).get<double>() <= 0)
      refuse(key, "expected a positive number");
    return at(key).get<double>();
  }
  double positive(const std::string& key, double fallback) const { return has(key) ? positive(key) : fallback; }
  bool flag(const std::string& key, bool fallback) const {
    if (has(key) && !at(key).is_boolean()) refuse(key, "expected true or false");
    return has(key) ? at(key).get<bool>() : fallback;
  }
  std::string text(const std::string& key, const std::string& fallback) const {
    if (has(key) && !at(key).is_string()) refuse(key, "expected a string");
    return has(key) ? at(key).get<std::string>() : fallback;
  }
  const std::string& where() const { return where_; }

 private:
  const json& object_;
  std::string where_;
};

void read_rope(const Reader& config, Config& out) {
  out.rope_theta = config.positive("rope_theta", 10000);
  // transformers 5 writes rope_parameters, earlier versions rope_scaling
  const std::string key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!config.has(key)) return;
  if (!config.at(key).is_object()) config.refuse(key, "expected an object or null");
  const Reader rope(config.at(key), config.where() + ": " + key);
  out.rope_theta = rope.positive("rope_theta", out.rope_theta);
  const std::string type_key = rope.has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.text(type_key, "default");
  if (rope.has("partial_rotary_factor") && rope.positive("partial_rotary_factor") != 1)
    rope.refuse("partial_rotary_factor", "only 1 is supported");
  if (type == "default") return;
  out.rope_scaling.factor = rope.positive("factor");
  if (type == "linear") {
    out.rope_scaling.kind = RopeScaling::Kind::linear;
    return;
  }
  if (type != "llama3") rope.refuse(type_key, "supported are default, linear, llama3");
  out.rope_scaling.kind = RopeScaling::Kind::llama3;
  out.rope_scaling.low_frequency_factor = rope.positive("low_freq_factor");
  out.rope_scaling.high_frequency_factor = rope.positive("high_freq_factor");
  out.rope_scaling.original_context = rope.positive("original_max_position_embeddings");
  if (out.rope_scaling.high_frequency_factor <= out.rope_scaling.low_frequency_factor)
    rope.refuse("high_freq_factor", "expected more than low_freq_factor");
}

// Which layers attend to a window alone. Mistral: all, where a window is given. Qwen: where use_sliding_window is set,
// the layers from max_window_layers on. layer_types, where present, says it layer by layer.
void read_windows(const Reader& config, Config& out) {
  out.window.assign(out.layers, 0);
  const bool given = config.has("sliding_window");
  if (config.has("layer_types")) {
    const json& types = config.at("layer_types");
    if (!types.is_array() || types.size() != out.layers) config.refuse("layer_types", "expected one entry per layer");
    for (std::size_t i = 0; i < out.layers; ++i) {
      if (types[i] == "sliding_attention")
        out.window[i] = static_cast<std::int64_t>(config.count("sliding_window"));
      else if (types[i] != "full_attention")
        config.refuse("layer_types", "supported are full_attention and sliding_attention");
    }
    return;
  }
  if (!given || out.family == "llama") return;
  const bool qwen = out.family != "mistral";
  if (qwen && !config.flag("use_sliding_window", false)) return;
  const std::size_t first = qwen ? config.count("max_window_layers", out.layers) : 0;
  for (std::size_t i = first; i < out.layers; ++i)
    out.window[i] = static_cast<std::int64_t>(config.count("sliding_window"));
}

// One token or a list of them.
void read_end_tokens(const Reader& config, Config& out) {
  if (!config.has("eos_token_id")) return;
  const json& value = config.at("eos_token_id");
  for (const json& token : value.is_array() ? value : json::array({value})) {
    if (!token.is_number_integer() || token.get<double>() < 0 ||
        token.get<double>() >= static_cast<double>(out.vocabulary))
      config.refuse("eos_token_id", "expected token numbers of the vocabulary");
    out.end_tokens.push_back(token.get<std::int32_t>());
  }
}

void refuse_unsupported(const Reader& config) {
  if (config.text("hidden_act", "silu") != "silu") config.refuse("hidden_act", "only \"silu\" is supported");
  for (const char* key :
       {"quantization_config", "num_experts", "num_local_experts", "no_rope_layers", "no_rope_layer_interval",
        "attention_multiplier", "residual_multiplier", "embedding_multiplier", "logits_scaling",
        "attn_logit_softcapping", "final_logit_softcapping"})
    if (config.has(key)) config.refuse(key, "which is not supported (the key must be absent)");
  if (config.has("partial_rotary_factor") && config.positive("partial_rotary_factor") != 1)
    config.refuse("partial_rotary_factor", "only 1 is supported");
}

void read_shapes(const Reader& config, Config& out) {
  out.hidden = config.count("hidden_size");
  out.intermediate = config.count("intermediate_size");
  out.layers = config.count("num_hidden_layers");
  out.heads = config.count("num_attention_heads");
  out.kv_heads = config.count("num_key_value_heads", out.heads);
  out.vocabulary = config.count("vocab_size");
  if (out.heads % out.kv_heads != 0) config.refuse("num_key_value_heads", "expected a divisor of num_attention_heads");
  if (config.has("head_dim")) {
    out.head_dim = config.count("head_dim");
  } else {
    if (out.hidden % out.heads != 0)
      config.refuse("num_attention_heads", "expected a divisor of hidden_size (no head_dim given)");
    out.head_dim = out.hidden / out.heads;
  }
  if (out.head_dim % 2 != 0) config.refuse("head_dim", "expected an even number");
  out.context = config.count("max_position_embeddings", 2048);
}

}  // namespace

Config parse_config(const std::string& text, const std::string& where) {
  json object;
  try {
    object = json::parse(text);
  } catch (const json::parse_error& error) {
    throw_error(ExitCode::bad_data, "{}: not JSON (byte {})", where, error.byte);
  }
  if (!object.is_object()) throw_error(ExitCode::bad_data, "{}: expected a JSON object", where);
  const Reader config(object, where);
  Config out;
  out.family = config.text("model_type", "");
  if (out.family != "llama" && out.family != "mistral" && out.family != "qwen2" && out.family != "qwen3")
    config.refuse("model_type", "supported are llama, mistral, qwen2, qwen3");
  refuse_unsupported(config);
  read_shapes(config, out);
  read_rope(config, out);
  read_windows(config, out);
  read_end_tokens(config, out);
  out.norm_epsilon = config.positive("rms_norm_eps", 1e-6);
  out.tied_embeddings = config.flag("tie_word_embeddings", false);
  const bool attention_bias = config.flag("attention_bias", false);
  out.qkv_bias = out.family == "qwen2" || attention_bias;
  out.o_bias = out.family != "qwen2" && attention_bias;
  out.mlp_bias = config.flag("mlp_bias", false);
  out.qk_norm = out.family == "qwen3";
  return out;
}

Config read_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw_error(ExitCode::no_input, "'{}': cannot be read; expected a Hugging Face model folder", path);
  return parse_config(text.str(), path);
}

}  // namespace lowbit::model
