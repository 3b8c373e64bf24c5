// What a layer keeps of past tokens. The plain cache stores keys and values in float32; others replace what is stored
// and how keys and values come back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "sim/model/tensor.hpp"

namespace lowbit::model {

class Hooks;
struct Sequence;

/// The new tokens of one sequence at one layer, offered to its cache. Views are valid during the call.
struct CacheTokens {
  int layer = 0;
  const std::int64_t* positions = nullptr;  ///< one per row
  ConstRows x;                              ///< attention input after its norm, T x hidden
  ConstRows k_pre;                          ///< keys before RoPE, T x kv_heads * head_dim
  ConstRows k;                              ///< keys after RoPE
  ConstRows v;
};

/// Keys and values as attention reads them: one row per key, rows may be strided.
struct KeyValues {
  ConstRows k;
  ConstRows v;
  const std::int64_t* positions = nullptr;  ///< of each key, ascending
};

/// The cache of one sequence, all layers (so that a layer may refer to another).
class KvCache {
 public:
  virtual ~KvCache() = default;
  /// Stores the tokens of a layer. Called once per layer and pass, before attention reads.
  virtual void append(const CacheTokens& tokens) = 0;
  /// Everything that layer and KV head hold, new tokens included; the number of keys may differ between heads. Valid
  /// until the next append or the next read of that head. Called from one thread for each head in turn.
  virtual KeyValues read(int layer, std::size_t kv_head) = 0;
  /// Position of the next token: the number of tokens appended so far, evicted ones included.
  virtual std::int64_t next_position() const = 0;
  /// Bytes that a real implementation would hold for what is stored now.
  virtual std::size_t bytes() const = 0;
};

/// Makes the cache of a sequence.
class CacheFactory {
 public:
  virtual ~CacheFactory() = default;
  /// `hooks` are those that the factory was attached to: a cache that stores X finds weights and norms there.
  virtual std::unique_ptr<KvCache> make(const Hooks& hooks) = 0;
};

/// Keys and values in float32. Derived caches may change the rows before they are stored (quantised per token, no
/// residual window).
class PlainCache : public KvCache {
 public:
  PlainCache(std::size_t layers, std::size_t kv_heads, std::size_t head_dim);
  void append(const CacheTokens& tokens) override;
  KeyValues read(int layer, std::size_t kv_head) override;
  std::int64_t next_position() const override { return next_position_; }
  std::size_t bytes() const override;

 protected:
  /// Changes new rows (n x kv_heads * head_dim, contiguous, consecutive positions) before they are stored. Default: as
  /// they are.
  virtual void store(int layer, std::int64_t first_position, Rows k, Rows v);
  std::size_t layer_rows(int layer) const;  ///< tokens that a layer holds

  std::size_t kv_heads_, head_dim_;

 private:
  enum class Part { keys, values };
  static constexpr std::size_t kParts = 2;
  Rows head_rows(std::size_t layer, Part part, std::size_t kv_head);
  void make_room(std::size_t tokens);

  std::size_t capacity_ = 0;                          // tokens that each layer has room for
  Buffer values_;                                     // layer x part x head x capacity x head_dim
  Matrix new_k_, new_v_;                              // of the last append
  std::vector<std::vector<std::int64_t>> positions_;  // by layer
  std::int64_t next_position_ = 0;
};

}  // namespace lowbit::model
