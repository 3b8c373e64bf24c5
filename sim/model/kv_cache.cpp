#include "sim/model/kv_cache.hpp"

#include <algorithm>

namespace lowbit::model {

PlainCache::PlainCache(std::size_t layers, std::size_t kv_heads, std::size_t head_dim)
    : kv_heads_(kv_heads), head_dim_(head_dim), layers_(layers) {}

void PlainCache::append(const CacheTokens& tokens) {
  Layer& layer = layers_[static_cast<std::size_t>(tokens.layer)];
  const std::size_t width = kv_heads_ * head_dim_, old = layer.positions.size();
  layer.k.resize((old + tokens.k.rows) * width);
  layer.v.resize((old + tokens.k.rows) * width);
  const Rows k(layer.k.data() + old * width, tokens.k.rows, width),
      v(layer.v.data() + old * width, tokens.k.rows, width);
  copy_rows(tokens.k, k);
  copy_rows(tokens.v, v);
  if (tokens.k.rows > 0) store(tokens.layer, tokens.positions[0], k, v);
  layer.positions.insert(layer.positions.end(), tokens.positions, tokens.positions + tokens.k.rows);
  if (tokens.k.rows > 0) next_position_ = std::max(next_position_, tokens.positions[tokens.k.rows - 1] + 1);
}

void PlainCache::store(int, std::int64_t, Rows, Rows) {}

KeyValues PlainCache::read(int index, std::size_t kv_head) {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  const std::size_t width = kv_heads_ * head_dim_;
  const auto head = [&](const Buffer& rows) {
    return ConstRows(rows.data() + kv_head * head_dim_, layer.positions.size(), head_dim_, width);
  };
  return {head(layer.k), head(layer.v), layer.positions.data()};
}

std::size_t PlainCache::layer_rows(int layer) const {
  return layers_[static_cast<std::size_t>(layer)].positions.size();
}

std::size_t PlainCache::bytes() const {
  std::size_t rows = 0;
  for (const Layer& layer : layers_) rows += layer.positions.size();
  return rows * 2 * kv_heads_ * head_dim_ * sizeof(float);
}

}  // namespace lowbit::model
