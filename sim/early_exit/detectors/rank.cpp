#include "sim/early_exit/registry.hpp"

namespace lowbit::early_exit {

namespace {

/// Stop when the end token's rank is at most `at`: the ablation "stop when the end token enters the top 5" of
/// arXiv 2508.17627 v2. Not stated in the paper: where it is evaluated. At sentence ends it equals RCPD's C_sat alone;
/// both evaluation points are built.
class RankRule final : public Detector {
 public:
  RankRule(double at, Granularity granularity) : at_(at), granularity_(granularity) {}

  DetectorInfo info() const override {
    if (granularity_ == Granularity::token) {
      return {"token-rank", "end token in the top ranks after any token", "arXiv 2508.17627 v2, ablation",
              granularity_, kTokenRank, 1};
    }
    return {"rank", "end token in the top ranks at a sentence end", "arXiv 2508.17627 v2, ablation",
            granularity_, kRank, 1};
  }

  Decision step(const View& view) override {
    return static_cast<double>(view.rank(0)) <= at_ ? Decision::stop() : Decision::go();
  }

 private:
  double at_;
  Granularity granularity_;
};

}  // namespace

std::unique_ptr<Detector> make_rank_rule(Options& options) {
  return std::make_unique<RankRule>(options.number("at", 5, 1, 1e9), Granularity::sentence);
}

std::unique_ptr<Detector> make_token_rank_rule(Options& options) {
  return std::make_unique<RankRule>(options.number("at", 5, 1, 1e9), Granularity::token);
}

}  // namespace lowbit::early_exit
