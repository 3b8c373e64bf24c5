// Attention of one layer: the contract of a replaced operator, and the plain causal one.
#pragma once
#include <cstdint>

#include "sim/model/hooks.hpp"
#include "sim/model/kv_cache.hpp"

namespace lowbit::model {

/// Constants of a layer's attention. Query head h reads KV head h / (heads / kv_heads).
struct AttentionShape {
  int layer = 0;
  std::size_t heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 0;          ///< of q . k: 1 / sqrt(head_dim)
  std::int64_t window = 0;  ///< a query at p sees keys at positions > p - window; 0: all up to p
};

/// What attention gets: the queries of one sequence, and keys with values either from its cache or of this pass.
struct AttentionCall {
  const AttentionShape& shape;
  const Sequence& sequence;
  ConstRows q;                              ///< T x heads * head_dim, after RoPE
  const std::int64_t* positions = nullptr;  ///< of the queries
  ConstRows k, v;                           ///< of this pass: T x kv_heads * head_dim
  Rows output;                              ///< T x heads * head_dim
  Threads& threads;

  /// Keys and values that the queries may read: the cache's where there is one, else those of this pass.
  KeyValues read(std::size_t kv_head) const;
};

/// What attention did, summed over sequences and heads of a pass.
struct AttentionStats {
  double causal_pairs = 0;    ///< query-key pairs that the mask allows
  double attended_pairs = 0;  ///< pairs that were computed into the output
  double flops = 0;           ///< of scores and values; a replaced operator adds its own selection
  double attended_fraction() const { return causal_pairs > 0 ? attended_pairs / causal_pairs : 1; }
  void add(const AttentionStats& other);
};

class AttentionOp {
 public:
  virtual ~AttentionOp() = default;
  virtual AttentionStats apply(const AttentionCall& call) = 0;
};

/// softmax(scale q k^T + causal mask) v: float32 products, maxima in float32, sums of the softmax in double. A query
/// that sees no key gives zeros. Query tiles of kQueryTile rows, one head each, are the tasks of call.threads.
AttentionStats plain_attention(const AttentionCall& call);
inline constexpr std::size_t kQueryTile = 128;

/// Gradients of plain_attention without a cache: dq, dk, dv (written) from the gradient of the output.
void plain_attention_backward(const AttentionCall& call, ConstRows output_gradient, Rows dq, Rows dk, Rows dv);

}  // namespace lowbit::model
