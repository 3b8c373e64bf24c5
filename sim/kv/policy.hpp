// Policies: what happens to the tokens of a step.
#pragma once
#include <optional>
#include <vector>

#include "sim/kv/attend.hpp"
#include "sim/model/kv_cache.hpp"

namespace lowbit::kv {

/// Sizes of a layer's cache.
struct LayerShape {
  std::size_t kv_heads = 0, head_dim = 0;
};

/// Decides for one sequence what is kept of it. Called layer by layer; `storage` is that of the step's layer.
class Policy {
 public:
  virtual ~Policy() = default;
  /// Adds the streams of a layer.
  virtual void begin(int layer, const LayerShape& shape, Storage& storage) = 0;
  /// New tokens: positions, layer input, keys before and after RoPE, values.
  virtual void append(const model::CacheTokens& tokens, Storage& storage) = 0;
  /// Seals and erases what is due with the tokens that are there.
  virtual void settle(int layer, Storage& storage) = 0;
  /// True: attended() is called after each step with the attention mass that each slot received.
  virtual bool wants_attention() const { return false; }
  /// Queries (T x heads * head_dim, after RoPE) and, for each KV head, the softmax weights of its slots summed over the
  /// queries of its group.
  virtual void attended(int layer, ConstRows q, const std::vector<std::vector<float>>& mass, Storage& storage);
  /// How attention reads a head.
  virtual HeadReader reader(int layer, std::size_t head, const Storage& storage) const = 0;
  /// What the method adds to the sums of queries (query heads of a group x head_dim); nullptr: nothing.
  virtual std::unique_ptr<Terms> terms(int layer, std::size_t head, ConstRows q, Storage& storage) const;
};

/// Which slots are sealed once n are stored: slots sinks .. end(n) - 1.
struct Window {
  enum class Kind {
    filled,  ///< all open slots are sealed when there are `residual` of them (KIVI's keys, KVLinC)
    sliding  ///< the oldest slots are sealed while more than `residual` are open (KIVI's values)
  } kind = Kind::filled;
  std::size_t residual = 0;  ///< 0: whatever makes whole groups is sealed at once
  std::size_t sinks = 0;     ///< first slots that stay open for good
  /// `granule`: rows that are sealed together. Error: see check().
  std::size_t end(std::size_t n, std::size_t granule) const;
  /// Error (usage) where the residual of filled slots is no multiple of the granule.
  void check(std::size_t granule, const std::string& what) const;
};

/// How one of keys and values is kept.
struct Side {
  /// One codec a head (or one for the whole layer with `whole_layer`); empty: everything stays open.
  std::vector<std::shared_ptr<const Codec>> codecs;
  Window window;
  std::shared_ptr<const Transform> basis;  ///< along the head; nullptr: none. May differ between heads: `bases`
  std::vector<std::shared_ptr<const Transform>> bases;
  bool before_rope = false;  ///< keys only
  bool whole_layer = false;  ///< one stream of all heads: groups and thresholds span them
  const Transform* basis_of(std::size_t head) const { return bases.empty() ? basis.get() : bases[head].get(); }
  std::size_t end(std::size_t n) const { return codecs.empty() ? 0 : window.end(n, codecs.front()->granule()); }
};

/// Keys and values of one layer.
struct LayerRules {
  Side k, v;
};

/// The policy of methods that keep every token in streams "k" and "v".
class WindowPolicy : public Policy {
 public:
  /// Rules of each layer; `rope` is needed where keys are kept before RoPE. Errors of Window::check.
  WindowPolicy(std::vector<LayerRules> layers, const model::Rope* rope);
  void begin(int layer, const LayerShape& shape, Storage& storage) override;
  void append(const model::CacheTokens& tokens, Storage& storage) override;
  void settle(int layer, Storage& storage) override;
  HeadReader reader(int layer, std::size_t head, const Storage& storage) const override;
  const LayerRules& rules(int layer) const { return layers_[static_cast<std::size_t>(layer)]; }

 private:
  std::vector<LayerRules> layers_;
  std::vector<LayerShape> shapes_;
  const model::Rope* rope_;
};

}  // namespace lowbit::kv
