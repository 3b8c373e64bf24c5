#include "sim/early_exit/registry.hpp"

namespace lowbit::early_exit {

namespace {

/// A fixed thinking budget, the same for every item: stop at the first sentence end at or beyond `tokens`
/// (budget forcing, arXiv 2508.17627 v2). Not stated in the paper: where a budget that ends inside a sentence cuts.
class Budget final : public Detector {
 public:
  explicit Budget(double tokens) : tokens_(tokens) {}
  DetectorInfo info() const override {
    return {"budget", "fixed number of thinking tokens", "arXiv 2508.17627 v2, baseline BF", Granularity::sentence,
            kNoSignal, 1};
  }
  Decision step(const View& view) override {
    return static_cast<double>(view.tokens()) >= tokens_ ? Decision::stop() : Decision::go();
  }

 private:
  double tokens_;
};

/// Never stops: thinking ends by itself or at the token cap. Not stated in the paper: how a capped trace is answered; the
/// generator takes the outcome of the natural end, a recorded trace has what its log says.
class Full final : public Detector {
 public:
  DetectorInfo info() const override {
    return {"full", "thinks to its own end", "arXiv 2508.17627 v2, baseline", Granularity::sentence, kNoSignal, 1};
  }
  Decision step(const View&) override { return Decision::go(); }
};

/// Empty thinking block. Differs from the paper: recorded traces hold no answer without thinking, so that its outcome is
/// unknown there.
class NoThink final : public Detector {
 public:
  DetectorInfo info() const override {
    return {"no-think", "empty thinking block", "arXiv 2508.17627 v2, baseline", Granularity::sentence, kNoSignal, 1};
  }
  Decision step(const View&) override { return Decision::stop(); }
  bool thinks() const override { return false; }
};

}  // namespace

std::unique_ptr<Detector> make_budget(Options& options) {
  return std::make_unique<Budget>(options.number("tokens", 8192, 0, 1e12));
}
std::unique_ptr<Detector> make_full(Options&) { return std::make_unique<Full>(); }
std::unique_ptr<Detector> make_no_think(Options&) { return std::make_unique<NoThink>(); }

}  // namespace lowbit::early_exit
