// Storage and a policy as the cache of a model, and the views in which a perplexity may look at it.
#pragma once
#include <deque>
#include <functional>

#include "sim/kv/policy.hpp"
#include "sim/model/attention.hpp"
#include "sim/model/kv_cache.hpp"

namespace lowbit::kv {

/// Which stored form a query sees of the tokens before it.
enum class View {
  all,        ///< every full block sealed, for every query of a pass (KVQuant's perplexity)
  decode,     ///< what decoding token by token would show it: tokens of the residual window unquantised
  prefill_fp  ///< the prompt attends unquantised (KIVI's serving), later tokens as in decode
};
/// "all", "decode", "prefill_fp"; Error (usage) for another name.
View parse_view(const std::string& name);

/// One sequence. Sealing happens before the next tokens arrive, so that the tokens of a step are seen unquantised by
/// their own queries (decode); with `seal_first` before attention reads (all).
class Cache : public model::KvCache {
 public:
  Cache(const std::vector<LayerShape>& layers, std::unique_ptr<Policy> policy, bool seal_first);
  void append(const model::CacheTokens& tokens) override;
  model::KeyValues read(int layer, std::size_t kv_head) override;
  std::int64_t next_position() const override { return next_position_; }
  std::size_t bytes() const override { return held().total(); }

  /// Seals what is due in all layers.
  void settle();
  Bytes held() const;
  HeadReader reader(int layer, std::size_t kv_head) const;
  Storage& storage(int layer) { return layers_[static_cast<std::size_t>(layer)]; }
  const Policy& policy() const { return *policy_; }
  Policy& policy() { return *policy_; }

 private:
  struct Copy {
    Matrix k, v;
  };
  std::deque<Storage> layers_;
  std::vector<Copy> copies_;  // of each head, as last read
  std::unique_ptr<Policy> policy_;
  bool seal_first_;
  std::int64_t next_position_ = 0;
};

/// Makes caches: `policy` is called once a sequence.
class CacheFactory : public model::CacheFactory {
 public:
  CacheFactory(std::function<std::unique_ptr<Policy>()> policy, bool seal_first)
      : policy_(std::move(policy)), seal_first_(seal_first) {}
  std::unique_ptr<model::KvCache> make(const model::Hooks& hooks) override;

 private:
  std::function<std::unique_ptr<Policy>()> policy_;
  bool seal_first_;
};

/// Attention straight over the streams of a Cache, query by query and without float32 copies of the whole cache, with
/// the terms that the policy adds; tells it the attention mass where it asks. For caches that seal first or decode one
/// token a pass.
class PackedAttention : public model::AttentionOp {
 public:
  explicit PackedAttention(KvMath math = KvMath::exact) : math_(math) {}
  model::AttentionStats apply(const model::AttentionCall& call) override;

 private:
  KvMath math_;
};

/// One pass over a whole text, on a Cache with a WindowPolicy that seals first. decode and prefill_fp: query n sees
/// slots up to Window::end(n) sealed and the rest as they are; all: what is sealed at the end of the text. float32
/// matrix products. In a sliding window every query sees the keys in its window alone. The terms of a CorrectedPolicy
/// are added, each query seeing the sealed slots up to its own.
class ViewAttention : public model::AttentionOp {
 public:
  /// `prompt`: queries before this position see nothing sealed.
  explicit ViewAttention(std::int64_t prompt = 0, View view = View::decode) : prompt_(prompt), view_(view) {}
  model::AttentionStats apply(const model::AttentionCall& call) override;

 private:
  std::int64_t prompt_;
  View view_;
};

}  // namespace lowbit::kv
