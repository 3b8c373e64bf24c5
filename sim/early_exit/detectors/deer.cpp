#include "sim/early_exit/registry.hpp"

namespace lowbit::early_exit {

namespace {

/// DEER (arXiv 2504.15895 and its code): at each transition word induce a trial answer and stop if the mean probability
/// of its tokens exceeds the threshold; at most `trials` trials. Differs from the code: the extra condition for Qwen3
/// (the end token must follow the trial answer) and the limit of thinking to 0.6 to 0.9 of the token cap need signals
/// that traces do not carry.
class Deer final : public Detector {
 public:
  Deer(double threshold, int trials, bool geometric) : threshold_(threshold), trials_(trials), geometric_(geometric) {}

  DetectorInfo info() const override {
    return {geometric_ ? "deer-geometric" : "deer",
            geometric_ ? "confidence of a trial answer at transition words, geometric mean"
                       : "confidence of a trial answer at transition words, arithmetic mean",
            "arXiv 2504.15895",
            Granularity::transition,
            kWait | (geometric_ ? kTrialConfidenceGeometric : kTrialConfidence),
            1};
  }
  void reset() override { used_ = 0; }
  Decision step(const View&) override {
    if (used_ >= trials_) return Decision::go();
    ++used_;
    return Decision::ask(Probe::trial_answer);
  }
  Decision probed(const View&, const ProbeResult& result) override {
    const double confidence = geometric_ ? result.confidence_geometric : result.confidence;
    return confidence > threshold_ ? Decision::stop() : Decision::go();
  }

 private:
  double threshold_;
  int trials_;
  bool geometric_;
  int used_ = 0;
};

std::unique_ptr<Detector> make(Options& options, bool geometric) {
  const double threshold = options.number("threshold", 0.95, 0, 1);
  return std::make_unique<Deer>(threshold, static_cast<int>(options.integer("trials", 10, 1, 1000000)), geometric);
}

}  // namespace

std::unique_ptr<Detector> make_deer(Options& options) {
  return make(options, false);
}
std::unique_ptr<Detector> make_deer_geometric(Options& options) {
  return make(options, true);
}

}  // namespace lowbit::early_exit
