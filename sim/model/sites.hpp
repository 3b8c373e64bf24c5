// The named tensors of a forward and backward pass: what hooks are attached to.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit::model {

struct Config;

/// The linear layers of one transformer layer, in the order of the pass.
enum class Linear { q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj };
inline constexpr int kLinears = 7;
/// "self_attn.q_proj" and so on.
std::string_view linear_name(Linear linear);

/// The five tensors of a linear layer. Gradients exist in a backward pass alone.
enum class LinearPoint { input, output, input_gradient, output_gradient, weight_gradient };
inline constexpr int kLinearPoints = 5;

/// The other tensors of a layer.
enum class LayerPoint {
  input,       ///< residual stream, T x hidden
  attn_input,  ///< after input_layernorm: what q, k and v read; "self_attn.input"
  q_pre,       ///< queries before RoPE (after the q norm where there is one), T x heads * head_dim
  k_pre,       ///< keys before RoPE (after the k norm), T x kv_heads * head_dim
  q,           ///< queries after RoPE: what attention reads
  k,           ///< keys after RoPE: what attention reads and a cache stores
  v,           ///< values
  mlp_input,   ///< after post_attention_layernorm: what gate and up read; "mlp.input"
  output       ///< residual stream after the layer
};
inline constexpr int kLayerPoints = 9;

/// One named tensor.
struct Site {
  std::string name;       ///< "model.layers.3.self_attn.q_proj.input"
  int layer = -1;         ///< -1: outside of the layers
  int linear = -1;        ///< as Linear; kLinears for lm_head; -1: not at a linear layer
  std::size_t width = 0;  ///< channels
};

/// All sites of a model; a site is known by its index, names are looked up before a pass, never inside.
class SiteTable {
 public:
  explicit SiteTable(const Config& config);
  std::span<const Site> sites() const { return sites_; }
  std::size_t size() const { return sites_.size(); }
  const Site& operator[](std::size_t index) const { return sites_[index]; }

  std::size_t at(int layer, Linear linear, LinearPoint point) const;
  std::size_t at(int layer, LayerPoint point) const;
  std::size_t embedding() const { return 0; }   ///< "model.embed_tokens.output"
  std::size_t final_norm() const { return 1; }  ///< "model.norm.output"
  std::size_t lm_head(LinearPoint point) const { return 2 + static_cast<std::size_t>(point); }

  /// Indices of the sites whose name matches the glob (*, ?, [..]; * also matches dots). Error where none does, naming
  /// the nearest.
  std::vector<std::size_t> match(std::string_view glob) const;

 private:
  std::vector<Site> sites_;
};

}  // namespace lowbit::model
