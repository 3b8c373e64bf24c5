#include "sim/weights/block_pass.hpp"

#include <memory>

namespace lowbit::weights {
namespace {

/// Skips to one block, puts the stored stream in its place, takes the stream behind it, and stops.
class OneBlock : public model::PassControl {
 public:
  OneBlock(int layer, const Residual& before) : layer_(layer), before_(before) {}

  Action before_layer(int layer, const std::vector<model::Sequence>&, model::Rows rows) override {
    if (layer < layer_) return Action::skip;
    if (layer == layer_) {
      if (layer > 0) model::copy_rows(before_.view(), rows);
      return Action::run;
    }
    after.resize(rows.rows, rows.columns);
    model::copy_rows(rows, after);
    return Action::stop;
  }

  Residual after;

 private:
  int layer_;
  const Residual& before_;
};

}  // namespace

Residual run_block(model::Hooks& hooks, int layer, const Residual& before, std::span<const model::TokenSpan> texts,
                   Threads& threads) {
  const auto control = std::make_shared<OneBlock>(layer, before);
  hooks.control(control);
  try {
    model::forward(hooks, texts, threads);
  } catch (...) {
    hooks.control(nullptr);
    throw;
  }
  hooks.control(nullptr);
  return std::move(control->after);
}

}  // namespace lowbit::weights
