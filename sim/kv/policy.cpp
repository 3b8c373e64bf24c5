#include "sim/kv/policy.hpp"

#include <algorithm>
#include <stdexcept>

#include "formats/error.hpp"

namespace lowbit::kv {
namespace {

void append_side(const Side& side, ConstRows rows, const model::CacheTokens& tokens, std::size_t head_dim,
                 std::string_view name, Storage& storage) {
  for (std::size_t head = 0; head < storage.heads(name); ++head) {
    Stream& stream = storage.stream(name, head);
    const ConstRows own = rows.part(side.whole_layer ? 0 : head * head_dim, stream.width());
    Matrix turned(own.rows, own.columns);
    model::copy_rows(own, turned);
    if (const Transform* basis = side.basis_of(head); basis != nullptr)
      basis->forward(turned.data(), turned.data(), own.rows * own.columns / basis->block());
    stream.append(turned.view(), tokens.positions);
  }
}

void settle_side(const Side& side, std::string_view name, Storage& storage) {
  for (std::size_t head = 0; head < storage.heads(name) && !side.codecs.empty(); ++head) {
    Stream& stream = storage.stream(name, head);
    const std::size_t sinks = side.window.sinks, end = side.end(stream.slots()), begin = sinks + stream.sealed();
    if (end > begin) stream.seal(begin, end - begin, side.codecs[side.codecs.size() == 1 ? 0 : head]);
  }
}

}  // namespace

void Policy::attended(int, ConstRows, const std::vector<std::vector<float>>&, Storage&) {}

std::unique_ptr<Terms> Policy::terms(int, std::size_t, ConstRows, Storage&) const {
  return nullptr;
}

std::size_t Window::end(std::size_t n, std::size_t granule) const {
  if (n <= sinks) return sinks;
  const std::size_t after = n - sinks;
  std::size_t due = after;
  if (kind == Kind::filled && residual > 0) due = after / residual * residual;
  if (kind == Kind::sliding) due = after > residual ? after - residual : 0;
  return sinks + due / granule * granule;
}

void Window::check(std::size_t granule, const std::string& what) const {
  if (kind == Kind::filled && residual % granule != 0)
    throw_error(ExitCode::usage, "{}: a residual window of {} tokens is no multiple of the group of {}", what, residual,
                granule);
}

WindowPolicy::WindowPolicy(std::vector<LayerRules> layers, const model::Rope* rope)
    : layers_(std::move(layers)), shapes_(layers_.size()), rope_(rope) {
  for (const LayerRules& rules : layers_) {
    if (!rules.k.codecs.empty()) rules.k.window.check(rules.k.codecs.front()->granule(), "keys");
    if (!rules.v.codecs.empty()) rules.v.window.check(rules.v.codecs.front()->granule(), "values");
    if (rules.k.before_rope && rope_ == nullptr) throw std::logic_error("kv: keys before RoPE need the RoPE");
  }
}

void WindowPolicy::begin(int layer, const LayerShape& shape, Storage& storage) {
  const LayerRules& rules = layers_[static_cast<std::size_t>(layer)];
  shapes_[static_cast<std::size_t>(layer)] = shape;
  const auto add = [&](std::string_view name, bool whole) {
    storage.add(name, whole ? 1 : shape.kv_heads, whole ? shape.kv_heads * shape.head_dim : shape.head_dim);
  };
  add("k", rules.k.whole_layer);
  add("v", rules.v.whole_layer);
}

void WindowPolicy::append(const model::CacheTokens& tokens, Storage& storage) {
  const LayerRules& rules = layers_[static_cast<std::size_t>(tokens.layer)];
  const std::size_t d = shapes_[static_cast<std::size_t>(tokens.layer)].head_dim;
  append_side(rules.k, rules.k.before_rope ? tokens.k_pre : tokens.k, tokens, d, "k", storage);
  append_side(rules.v, tokens.v, tokens, d, "v", storage);
}

void WindowPolicy::settle(int layer, Storage& storage) {
  const LayerRules& rules = layers_[static_cast<std::size_t>(layer)];
  settle_side(rules.k, "k", storage);
  settle_side(rules.v, "v", storage);
}

HeadReader WindowPolicy::reader(int layer, std::size_t head, const Storage& storage) const {
  const LayerRules& rules = layers_[static_cast<std::size_t>(layer)];
  const std::size_t d = shapes_[static_cast<std::size_t>(layer)].head_dim;
  HeadReader reader;
  reader.head_dim = d;
  reader.k = &storage.stream("k", rules.k.whole_layer ? 0 : head);
  reader.v = &storage.stream("v", rules.v.whole_layer ? 0 : head);
  reader.k_channel = rules.k.whole_layer ? head * d : 0;
  reader.v_channel = rules.v.whole_layer ? head * d : 0;
  reader.k_basis = rules.k.basis_of(head);
  reader.v_basis = rules.v.basis_of(head);
  reader.rope = rules.k.before_rope ? rope_ : nullptr;
  return reader;
}

}  // namespace lowbit::kv
