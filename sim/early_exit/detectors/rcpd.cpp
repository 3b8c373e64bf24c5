#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "sim/early_exit/registry.hpp"

namespace lowbit::early_exit {

namespace {

/// RCPD, the Reasoning Completion Point Detector (arXiv 2508.17627 v2, appendix C): stop at the first sentence end at
/// which one of four rules on the rank R of the end-of-thinking token holds:
///   C_sat    R_t <= 5
///   C_conv   R_t <= 10, R_{t-1} <= 50, R_{t-2} <= 100, R_{t-3} <= 1000
///   C_short  R_t .. R_{t-2} <= 20
///   C_long   R_t .. R_{t-5} <= 50
/// `rules` switches single rules off; `scale` multiplies every threshold (both for ablations).
/// Not stated in the paper: a rule that needs more history than there is is false; no minimum thinking length.
class Rcpd final : public Detector {
 public:
  Rcpd(unsigned rules, double scale) : rules_(rules), scale_(scale) {}

  DetectorInfo info() const override {
    return {"rcpd",
            "four rules on the rank of the end token at sentence ends",
            "arXiv 2508.17627 v2, appendix C",
            Granularity::sentence,
            kRank,
            6};
  }

  Decision step(const View& view) override {
    const bool stop = holds<1>(view, 1, {5}) || holds<4>(view, 2, {10, 50, 100, 1000}) ||
                      holds<3>(view, 4, {20, 20, 20}) || holds<6>(view, 8, {50, 50, 50, 50, 50, 50});
    return stop ? Decision::stop() : Decision::go();
  }

 private:
  template <std::size_t N>
  bool holds(const View& view, unsigned rule, const std::array<double, N>& thresholds) const {
    if (!(rules_ & rule) || view.history() < N) return false;
    for (std::size_t back = 0; back < N; ++back) {
      if (static_cast<double>(view.rank(back)) > thresholds[back] * scale_) return false;
    }
    return true;
  }

  unsigned rules_;
  double scale_;
};

}  // namespace

std::unique_ptr<Detector> make_rcpd(Options& options) {
  const auto rules = static_cast<unsigned>(options.integer("rules", 15, 1, 15));
  return std::make_unique<Rcpd>(rules, options.number("scale", 1, 1e-3, 1e3));
}

}  // namespace lowbit::early_exit
