#include "sim/model/kv_cache.hpp"

#include <algorithm>

#include "sim/huge_pages.hpp"

namespace lowbit::model {
namespace {

// Tokens that come one by one move those before them seldom.
constexpr std::size_t kSpareTokens = 256;

}  // namespace

PlainCache::PlainCache(std::size_t layers, std::size_t kv_heads, std::size_t head_dim)
    : kv_heads_(kv_heads), head_dim_(head_dim), positions_(layers) {}

Rows PlainCache::head_rows(std::size_t layer, Part part, std::size_t kv_head) {
  const std::size_t index = (layer * kParts + static_cast<std::size_t>(part)) * kv_heads_ + kv_head;
  return {values_.data() + index * capacity_ * head_dim_, positions_[layer].size(), head_dim_};
}

void PlainCache::make_room(std::size_t tokens) {
  if (tokens <= capacity_) return;
  const std::size_t capacity = std::max(2 * capacity_, tokens + kSpareTokens);
  const std::size_t heads = kParts * kv_heads_;  // of a layer
  Buffer values(positions_.size() * heads * capacity * head_dim_);
  ask_for_huge_pages(values.data(), values.size() * sizeof(float));
  for (std::size_t i = 0; i < positions_.size() * heads; ++i)
    std::copy_n(values_.data() + i * capacity_ * head_dim_, positions_[i / heads].size() * head_dim_,
                values.data() + i * capacity * head_dim_);
  values_.swap(values);
  capacity_ = capacity;
}

void PlainCache::append(const CacheTokens& tokens) {
  const std::size_t count = tokens.k.rows;
  if (count == 0) return;
  const auto layer = static_cast<std::size_t>(tokens.layer);
  std::vector<std::int64_t>& positions = positions_[layer];
  const std::size_t old = positions.size();
  make_room(old + count);
  const auto copy = [&](ConstRows source, Matrix& target) {
    target.resize(count, kv_heads_ * head_dim_);
    copy_rows(source, target);
    return target.view();
  };
  const Rows k = copy(tokens.k, new_k_), v = copy(tokens.v, new_v_);
  store(tokens.layer, tokens.positions[0], k, v);
  positions.insert(positions.end(), tokens.positions, tokens.positions + count);
  next_position_ = std::max(next_position_, positions.back() + 1);
  for (std::size_t head = 0; head < kv_heads_; ++head) {
    copy_rows(k.part(head * head_dim_, head_dim_), head_rows(layer, Part::keys, head).slice(old, count));
    copy_rows(v.part(head * head_dim_, head_dim_), head_rows(layer, Part::values, head).slice(old, count));
  }
}

void PlainCache::store(int, std::int64_t, Rows, Rows) {}

KeyValues PlainCache::read(int index, std::size_t kv_head) {
  const auto layer = static_cast<std::size_t>(index);
  return {head_rows(layer, Part::keys, kv_head), head_rows(layer, Part::values, kv_head), positions_[layer].data()};
}

std::size_t PlainCache::layer_rows(int layer) const {
  return positions_[static_cast<std::size_t>(layer)].size();
}

std::size_t PlainCache::bytes() const {
  std::size_t rows = 0;
  for (const auto& positions : positions_) rows += positions.size();
  return rows * kParts * kv_heads_ * head_dim_ * sizeof(float);
}

}  // namespace lowbit::model
