// A small model reading a text: what the figures on a real model share.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "experiments/papers/kvlinc/heads.hpp"
#include "sim/model/forward.hpp"

namespace lowbit::kvlinc {

/// A model and the tokens that it reads, in windows; further windows of the text serve calibration.
struct ModelText {
  model::Model model;
  std::vector<std::int32_t> tokens;
  std::size_t context = 0;
  std::span<const std::int32_t> window(std::size_t index) const {
    return std::span(tokens).subspan(index * context, context);
  }
};
using ModelTextPtr = std::shared_ptr<const ModelText>;

/// Adds the parameters model, tokens, texts and context, and the condition that the model's folder is there.
Experiment with_model(Experiment experiment, std::int64_t texts, std::int64_t context);
/// Reads both. `extra`: windows needed beyond `texts`. Error (bad_data) where the text is too short.
ModelTextPtr load_model_text(const Point& point, std::size_t extra);
/// 0 .. texts - 1.
Values text_numbers(const Params& params);

/// Queries, keys and values of every layer on one window.
struct Captured {
  struct Layer {
    Matrix q, k_pre, k, v;   ///< tokens x heads (or KV heads) * head_dim
    std::size_t window = 0;  ///< of the layer's attention; 0: all tokens
  };
  std::vector<Layer> layers;
};
Captured capture(const ModelText& text, std::size_t window, Threads& threads);
/// k_pre and v: squared gradients of the mean token loss on the window with respect to keys before RoPE and values.
Captured capture_squares(const ModelText& text, std::size_t window, Threads& threads);

/// One KV head of a layer with its query heads; `fit`: the same layer on another window, for methods with tables.
Head head_of(const ModelText& text, const Captured::Layer& layer, const Captured::Layer& fit, std::size_t kv_head,
             std::size_t queries);

}  // namespace lowbit::kvlinc
