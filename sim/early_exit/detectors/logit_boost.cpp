#include "sim/early_exit/registry.hpp"

namespace lowbit::early_exit {

namespace {

/// Raise the end token's logit by alpha (max y - mean y); greedy decoding then takes it once
/// (max y - y_end) / (max y - mean y) <= alpha. Baseline of arXiv 2506.02536: alpha = 0.6, 0.2 to 0.4 called safe.
/// Differs from the paper: evaluated at sentence ends and under greedy choice, since that is what a trace records; a
/// boost at every step, or under sampling, would end some generations inside a sentence.
class LogitBoost final : public Detector {
 public:
  explicit LogitBoost(double alpha) : alpha_(alpha) {}
  DetectorInfo info() const override {
    return {"logit-boost", "boosted end token wins the greedy choice at a sentence end", "arXiv 2506.02536",
            Granularity::sentence, kBoost, 1};
  }
  Decision step(const View& view) override { return view.boost() <= alpha_ ? Decision::stop() : Decision::go(); }

 private:
  double alpha_;
};

}  // namespace

std::unique_ptr<Detector> make_logit_boost(Options& options) {
  return std::make_unique<LogitBoost>(options.number("alpha", 0.6, 0, 1e6));
}

}  // namespace lowbit::early_exit
