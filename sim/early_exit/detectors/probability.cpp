#include <cmath>

#include "sim/early_exit/registry.hpp"

namespace lowbit::early_exit {

namespace {

/// Stop when the end token's probability exceeds tau (baseline of arXiv 2508.17627 v1). Not stated in the paper: tau; 0.5
/// is this project's default.
class Probability final : public Detector {
 public:
  explicit Probability(double tau) : log_tau_(std::log(tau)) {}
  DetectorInfo info() const override {
    return {"probability", "probability of the end token at sentence ends", "arXiv 2508.17627 v1, baseline",
            Granularity::sentence, kLogp, 1};
  }
  Decision step(const View& view) override { return view.logp() > log_tau_ ? Decision::stop() : Decision::go(); }

 private:
  double log_tau_;
};

}  // namespace

std::unique_ptr<Detector> make_probability(Options& options) {
  return std::make_unique<Probability>(options.number("tau", 0.5, 1e-9, 1));
}

}  // namespace lowbit::early_exit
