// Attention of the queries of one KV head over its streams.
#pragma once
#include <functional>

#include "sim/kv/storage.hpp"
#include "sim/model/rope.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit::kv {

/// Which parts of a stream are looked at; empty: all.
using Selection = std::function<bool(const Stream::Part&)>;

/// Where the keys and values of one head lie, and in which form.
struct HeadReader {
  const Stream* k = nullptr;
  const Stream* v = nullptr;
  std::size_t k_channel = 0, v_channel = 0;  ///< first channel of the head in streams of the whole layer
  std::size_t head_dim = 0;
  const Transform* k_basis = nullptr;  ///< rows of k are keys times this transform; nullptr: as they are
  const Transform* v_basis = nullptr;  ///< the same for v
  const model::Rope* rope = nullptr;   ///< keys are stored before RoPE
  Selection reads;                     ///< parts of k; slots left out have no weight
  KvMath math = KvMath::exact;         ///< how codes enter the sums of attend()
  std::int64_t window = 0;             ///< a query at p sees keys at positions > p - window; 0: all up to p
};

/// What a method adds to the sums of a query. `maximum`: the largest scaled logit m that the query has seen; weights
/// are relative to it, so a term of weight w adds e^(log w - m). `numerator`: head_dim values in the basis of v.
class Terms {
 public:
  virtual ~Terms() = default;
  virtual void add(std::size_t query, float maximum, float* numerator, double& denominator) const = 0;
};

/// Sum of x_i * y_i in float32: lanes i % 16, added pairwise (8, 4, 2, 1). The one order of all logits, whatever the
/// keys were stored in.
float lane_dot(const float* x, const float* y, std::size_t n);

/// out(i) = sum_j w_ij v_j / sum_j w_ij with w_ij = exp(scale q_i . k_j - m_i), over the slots whose position is at
/// most `position` (and in the reader's window), with terms added to both sums. q, out: queries x head_dim; q after
/// RoPE. Logits by lane_dot, exponentials as model::exp_row, the sum of weights in double, of values in float32 in the
/// order of slots. Each block is read once for all queries, packed where it can be (fused math: the same to 1e-5). With
/// k_basis the queries are turned instead of the keys; the result is turned back from v_basis. A query that sees no key
/// gives zeros. k and v must have the same slots.
///
/// `mass`, if given: one value a slot, to which the softmax weights of all queries are added (terms not counted).
void attend(const HeadReader& reader, ConstRows q, std::int64_t position, float scale, Rows out,
            const Terms* terms = nullptr, std::vector<float>* mass = nullptr);

/// All keys (after RoPE, in their own basis) and values of a head as float32: what the plain attention of a model
/// reads.
void read_head(const HeadReader& reader, Matrix& k, Matrix& v);

}  // namespace lowbit::kv
