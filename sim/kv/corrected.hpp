// Windows with correction states (KVLinC, arXiv 2510.05373, decode steps 2 and 3): each block that is sealed adds what
// its keys lost to the state of its head, and attention adds the state to its sums.
#pragma once
#include <memory>
#include <vector>

#include "sim/kv/correction.hpp"
#include "sim/kv/policy.hpp"

namespace lowbit::kv {

/// The corrections of all layers and KV heads of a model, layer by layer.
struct Corrections {
  std::size_t kv_heads = 0;
  std::vector<Correction> heads;
  const Correction& at(int layer, std::size_t head) const {
    return heads[static_cast<std::size_t>(layer) * kv_heads + head];
  }
};

/// Features of one KV head on a whole text, in float32: products of them are the terms that the correction adds to
/// attention weights.
struct HeadFeatures {
  Matrix key;                 ///< tokens x D: phi_k(k - k^)
  std::vector<Matrix> query;  ///< per query head tokens x D: phi_q(q), gain included
};
/// k, sealed: tokens x d as they were and as the cache gives them; q: tokens x query heads * d.
HeadFeatures head_features(const Correction& correction, ConstRows k, ConstRows sealed, ConstRows q);

/// Error (usage) unless `window`, the sliding window of a layer's attention, is 0: the states stand for all sealed
/// tokens and cannot give up those that have left it.
void refuse_window(std::int64_t window);

/// A policy of windows whose keys, after RoPE and a stream a head, are sealed together with the values
/// (std::invalid_argument otherwise).
/// The states S and P ("correction", D * (d + 1) values a head, S in the basis of the values) count as float16.
class CorrectedPolicy : public WindowPolicy {
 public:
  CorrectedPolicy(std::vector<LayerRules> layers, const model::Rope* rope,
                  std::shared_ptr<const Corrections> corrections);
  void begin(int layer, const LayerShape& shape, Storage& storage) override;
  void settle(int layer, Storage& storage) override;
  std::unique_ptr<Terms> terms(int layer, std::size_t head, ConstRows q, Storage& storage) const override;
  const Corrections& corrections() const { return *corrections_; }

 private:
  std::vector<double>& state(int layer, std::size_t head, Storage& storage) const;
  std::shared_ptr<const Corrections> corrections_;
};

}  // namespace lowbit::kv
