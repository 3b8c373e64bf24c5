#include "sim/kv/cache.hpp"

#include "formats/error.hpp"
#include "sim/model/hooks.hpp"
#include "sim/model/model.hpp"

namespace lowbit::kv {

View parse_view(const std::string& name) {
  if (name == "all") return View::all;
  if (name == "decode") return View::decode;
  if (name == "prefill_fp") return View::prefill_fp;
  throw_error(ExitCode::usage, "unknown view '{}'; accepted: all, decode, prefill_fp", name);
}

Cache::Cache(const std::vector<LayerShape>& layers, std::unique_ptr<Policy> policy, bool seal_first)
    : policy_(std::move(policy)), seal_first_(seal_first) {
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    layers_.emplace_back("layer " + std::to_string(layer) + " ");
    policy_->begin(static_cast<int>(layer), layers[layer], layers_.back());
  }
  std::size_t heads = 0;
  for (const LayerShape& shape : layers) heads = std::max(heads, shape.kv_heads);
  copies_.resize(heads);
}

void Cache::append(const model::CacheTokens& tokens) {
  if (tokens.k.rows == 0) return;
  Storage& layer = storage(tokens.layer);
  if (!seal_first_) policy_->settle(tokens.layer, layer);
  policy_->append(tokens, layer);
  if (seal_first_) policy_->settle(tokens.layer, layer);
  next_position_ = std::max(next_position_, tokens.positions[tokens.k.rows - 1] + 1);
}

model::KeyValues Cache::read(int layer, std::size_t kv_head) {
  Copy& copy = copies_[kv_head];
  const HeadReader head = reader(layer, kv_head);
  read_head(head, copy.k, copy.v);
  return {copy.k.view(), copy.v.view(), head.k->positions()};
}

void Cache::settle() {
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) policy_->settle(static_cast<int>(layer), layers_[layer]);
}

Bytes Cache::held() const {
  Bytes bytes;
  for (const Storage& layer : layers_) bytes.add(layer.bytes());
  return bytes;
}

HeadReader Cache::reader(int layer, std::size_t kv_head) const {
  return policy_->reader(layer, kv_head, layers_[static_cast<std::size_t>(layer)]);
}

std::unique_ptr<model::KvCache> CacheFactory::make(const model::Hooks& hooks) {
  const model::Config& config = hooks.model().config();
  const std::vector<LayerShape> shapes(config.layers, {config.kv_heads, config.head_dim});
  return std::make_unique<Cache>(shapes, policy_(), seal_first_);
}

}  // namespace lowbit::kv
