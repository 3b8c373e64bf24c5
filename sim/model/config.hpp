// config.json of a Llama-style model folder.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lowbit::model {

/// How the frequencies of the rotary embedding are changed for long contexts.
struct RopeScaling {
  enum class Kind { none, linear, llama3 } kind = Kind::none;
  double factor = 1;
  double low_frequency_factor = 1, high_frequency_factor = 4;  ///< llama3
  double original_context = 8192;                              ///< llama3
};

/// What the forward pass needs to know. Families: llama (Llama 2 and 3, SmolLM, SmolLM2), mistral, qwen2, qwen3.
struct Config {
  std::string family;  ///< model_type
  std::size_t hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, vocabulary = 0;
  std::size_t context = 0;  ///< max_position_embeddings
  double norm_epsilon = 1e-6;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  bool tied_embeddings = false;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool qk_norm = false;                  ///< RMSNorm over head_dim on q and k (Qwen3)
  std::vector<std::int32_t> end_tokens;  ///< eos_token_id: end a generated text
  std::vector<std::int64_t> window;      ///< per layer: sliding attention window, 0 = all
};

/// Reads and checks FOLDER/config.json. Error: no such file, not JSON, a missing or contradictory key, and everything
/// that the forward pass does not do, by key and value (model_type, hidden_act, rope type, quantization_config, ...).
Config read_config(const std::string& folder);

/// The same from the text of the file; `where` begins the messages.
Config parse_config(const std::string& text, const std::string& where);

}  // namespace lowbit::model
