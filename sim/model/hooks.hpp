// Hooks: how an experiment changes and watches the model without touching its code.
//
// A pass is a fixed list of named tensors (sites.hpp). A hook is attached to every tensor, linear layer or attention
// whose name matches a glob; what has no hook costs nothing. Hooks are built once and may serve any number of passes.
//
// clang-format off
//   Hooks plain(model);                             // nothing attached: the model as it is
//
//   // Weights, once, along their input features.
//   hooks.weight("*_proj", [&](const Parameter&, Rows w) { quantise(w); });
//   // Activations: x holds one sequence and is changed in place.
//   hooks.replace("*.input", map([&](const Tensor& t, Rows x) { quantise(x, t.threads); }));
//   // A rotation along the channels, online on one side and folded into the weight on the other.
//   hooks.replace("*.down_proj.input", hadamard);
//   hooks.weight("*.down_proj", fold_hadamard);
//   // A transform along the tokens (x holds all tokens of a sequence): L x here, L^-1 y there.
//   hooks.replace("*.o_proj.input", map(dct_along_tokens));
//   hooks.replace("*.o_proj.output", map(inverse_dct_along_tokens));
//   // The product itself: accumulators, lookup tables, sparsity.
//   hooks.linear("*.up_proj", std::make_shared<Int8Product>());
//
//   // Calibration in one pass, use in another; statistics of gradients.
//   hooks.observe("*.down_proj.input", [&](const Tensor& t, ConstRows x) { amax[t.site.name].add(x); });
//   later.replace("*.down_proj.input", static_scale(amax));
//   hooks.observe("*.weight_gradient", [&](const Tensor& t, ConstRows g) { fisher[t.site.name] += squares(g); });
//
//   // Attention: gets Q, the cache (or K and V) and positions; returns output, attended pairs and FLOPs.
//   hooks.attention("model.layers.*", std::make_shared<BlockSparse>(0.1));
//   // What a cache stores and how K and V come back: codes, pages, X instead of K and V, deltas to another layer.
//   hooks.cache(std::make_shared<Kivi>(2, 128));
//   // Before each layer: run it, skip it, or stop.
//   hooks.control(std::make_shared<EarlyExit>(threshold));
//
//   // Generation: any hooks at any step on one cache, so that precision, ranks and stopping are the loop's business
//   // (or a StepControl's, generate.hpp).
//   for (int step = 0; step < n; ++step)
//     token = next(forward(step < 8 ? exact : coarse, {{token, cache}}, threads));
// clang-format on
//
// Order. At one tensor, hooks act in the order in which they were attached; an observer attached before a map sees the
// tensor as it was. Weights are replaced at once, in the order of the calls. A hook is called from one thread, layer by
// layer, sequence by sequence (a batch of windows gives one call each: no statistic mixes windows); inside it may use
// tensor.threads. Maps shared by q, k and v (or gate and up) act once. lm_head.output and its gradient come in
// pieces of some tokens.
// Backward: a map's backward() turns dL/d(its result) into dL/d(its argument); by default straight through. Replaced
// weights are used as they are; replaced products and attention have no gradient (Error).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/model/kv_cache.hpp"
#include "sim/model/sites.hpp"
#include "sim/model/tensor.hpp"
#include "sim/threads.hpp"

namespace lowbit::model {

class Model;
struct Parameter;

/// Some consecutive tokens of one text inside a pass.
struct Sequence {
  std::size_t index = 0;            ///< number in the batch
  std::size_t first_row = 0;        ///< of its tokens in the batch's rows
  std::size_t rows = 0;             ///< tokens of this pass
  std::int64_t first_position = 0;  ///< position of its first token of this pass
  KvCache* cache = nullptr;         ///< nullptr: keys and values of this pass alone
};

/// What a hook at a tensor is told.
struct Tensor {
  const Site& site;
  const Sequence& sequence;
  Threads& threads;
};

/// Replaces a tensor of a pass.
class TensorMap {
 public:
  virtual ~TensorMap() = default;
  /// Changes the rows of one sequence in place. (weight_gradient sites: the rows are those of the weight, sequence 0.)
  virtual void apply(const Tensor& tensor, Rows rows) = 0;
  /// In place: gradient with respect to the result of apply -> gradient with respect to its argument.
  virtual void backward(const Tensor&, Rows) {}
};

/// A map out of a function.
std::shared_ptr<TensorMap> map(std::function<void(const Tensor&, Rows)> function);

using Observer = std::function<void(const Tensor&, ConstRows)>;

/// Replaces the product of a linear layer.
class LinearOp {
 public:
  virtual ~LinearOp() = default;
  /// y (T x out) = the product of x (T x in, after its maps) and w (out x in, as replaced). The bias is added
  /// afterwards.
  virtual void apply(const Tensor& output, ConstRows x, ConstRows w, Rows y) = 0;
};

/// Replaces the attention of a layer. The contract is in attention.hpp.
class AttentionOp;

/// Decides before each layer of a pass, for all sequences of the batch together.
class PassControl {
 public:
  enum class Action { run, skip, stop };
  virtual ~PassControl() = default;
  /// `rows`: the residual stream, may be changed. A skipped layer stores nothing in the cache; stop goes on to the
  /// norm.
  virtual Action before_layer(int layer, const std::vector<Sequence>& sequences, Rows rows) = 0;
};

/// The hooks of a model; refers to the model, which must outlive it. Copying shares maps and copies replaced weights.
class Hooks {
 public:
  explicit Hooks(const Model& model);
  const Model& model() const { return *model_; }

  /// Each glob below must match something: Error otherwise, with the nearest name.
  void replace(std::string_view site_glob, std::shared_ptr<TensorMap> map);
  void observe(std::string_view site_glob, Observer observer);
  /// Calls change(parameter, rows) for each matching weight of a linear layer ("model.layers.0.mlp.up_proj", lm_head
  /// included where the glob matches it); rows (out x in) is a copy that the passes use from now on.
  void weight(std::string_view linear_glob, const std::function<void(const Parameter&, Rows)>& change);
  /// A writable copy of any parameter under its Hugging Face name ("model.norm.weight": 1 x hidden); "lm_head.weight"
  /// of a model with tied embeddings becomes a weight of its own.
  Rows parameter(std::string_view name);
  void linear(std::string_view linear_glob, std::shared_ptr<LinearOp> op);
  /// Globs on layers: "model.layers.3", "model.layers.*".
  void attention(std::string_view layer_glob, std::shared_ptr<AttentionOp> op);
  void cache(std::shared_ptr<CacheFactory> factory) { cache_ = std::move(factory); }
  void control(std::shared_ptr<PassControl> control) { control_ = std::move(control); }

  /// A new cache of the replaced kind, else a plain one.
  std::unique_ptr<KvCache> make_cache() const;

  // What a pass asks for.
  struct Action {
    std::shared_ptr<TensorMap> map;  ///< or
    Observer observer;
  };
  const std::vector<Action>& actions(std::size_t site) const { return actions_[site]; }
  bool used(std::size_t site) const { return used_[site] != 0; }
  const float* data(std::size_t parameter) const;
  bool replaced(std::size_t parameter) const { return !owned_[parameter].empty(); }
  LinearOp* linear_op(int layer, int linear) const;
  AttentionOp* attention_op(int layer) const { return attention_[static_cast<std::size_t>(layer)].get(); }
  CacheFactory* cache_factory() const { return cache_.get(); }
  PassControl* pass_control() const { return control_.get(); }

  Hooks(const Hooks& other);
  Hooks& operator=(const Hooks&) = delete;

 private:
  void add(std::string_view site_glob, const Action& action);
  Rows own(std::size_t parameter);

  const Model* model_;
  std::vector<std::vector<Action>> actions_;             // by site
  std::vector<std::uint8_t> used_;                       // by site: on one cache line for a layer
  std::vector<Matrix> owned_;                            // by parameter: our copy
  std::vector<const float*> own_data_;                   // of it, else nullptr
  std::vector<std::shared_ptr<LinearOp>> linear_;        // by layer * kLinears + linear, lm_head last
  std::vector<std::shared_ptr<AttentionOp>> attention_;  // by layer
  std::shared_ptr<CacheFactory> cache_;
  std::shared_ptr<PassControl> control_;
};

}  // namespace lowbit::model
