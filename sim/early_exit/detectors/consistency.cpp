#include "sim/early_exit/registry.hpp"

namespace lowbit::early_exit {

namespace {

/// Answer consistency (arXiv 2506.02536): the greedy forced answer at every sentence end; stop after k identical ones
/// in a row (k = 10 used there, 20 to 30 recommended). Not stated in the paper: how answers are compared and what a
/// missing one means; here texts must be equal, and a missing one breaks the run.
class Consistency final : public Detector {
 public:
  explicit Consistency(int k) : k_(k) {}
  DetectorInfo info() const override {
    return {"consistency",      "identical forced answers in a row",
            "arXiv 2506.02536", Granularity::sentence,
            kForcedAnswer,      1};
  }
  void reset() override { run_ = 0, last_ = -1; }
  Decision step(const View&) override { return Decision::ask(Probe::forced_answer); }
  Decision probed(const View&, const ProbeResult& result) override {
    run_ = result.answer < 0 ? 0 : result.answer == last_ ? run_ + 1 : 1;
    last_ = result.answer;
    return run_ >= k_ ? Decision::stop() : Decision::go();
  }

 private:
  int k_;
  int run_ = 0;
  std::int32_t last_ = -1;
};

}  // namespace

std::unique_ptr<Detector> make_consistency(Options& options) {
  return std::make_unique<Consistency>(static_cast<int>(options.integer("k", 10, 1, 1000000)));
}

}  // namespace lowbit::early_exit
