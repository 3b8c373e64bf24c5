#include "sim/early_exit/rank_change.hpp"

#include <algorithm>
#include <cmath>

#include "formats/error.hpp"
#include "sim/early_exit/generator.hpp"
#include "sim/rng.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::early_exit;
using lowbit::test::contains;

namespace {

/// Ranks about 10^2.5 and changes N(0, sd) of log10 R with the correlation rho between neighbours.
RankPair correlated(Rng& rng, std::size_t n, double sd, double rho) {
  RankPair pair;
  double z = rng.normal();
  for (std::size_t k = 0; k < n; ++k, z = rho * z + std::sqrt(1 - rho * rho) * rng.normal()) {
    const double x = 4 + 0.8 * rng.normal();
    pair.before.push_back(static_cast<std::int32_t>(std::lround(std::pow(10.0, x))));
    pair.after.push_back(std::max(1, static_cast<std::int32_t>(std::lround(std::pow(10.0, x + sd * z)))));
  }
  return pair;
}

}  // namespace

TEST_CASE("a known change is measured", "[early_exit][rank_change]") {
  Rng rng(3, "change");
  std::vector<RankPair> pairs;
  for (int i = 0; i < 40; ++i) pairs.push_back(correlated(rng, 100, 0.3, 0.6));
  const RankChange change = measure_change("x", pairs);
  // 4000 values; standard errors: mean 0.3 sqrt((1 + rho) / (1 - rho) / 4000) = 0.01, sd 0.005, correlation 0.02
  CHECK(change.mean == Approx(0).margin(0.04));
  CHECK(change.sd == Approx(0.3).margin(0.02));
  CHECK(change.lag1 == Approx(0.6).margin(0.06));
  std::size_t count = 0;
  for (std::size_t b = 0; b < change.bins.size(); ++b) {
    const RankChangeBin& bin = change.bins[b];
    count += bin.count;
    CHECK(bin.count >= 30);
    CHECK(std::is_sorted(bin.quantiles.begin(), bin.quantiles.end()));
    if (b > 0) CHECK(bin.from == change.bins[b - 1].to);
    if (bin.count > 400) CHECK(bin.quantiles[15] - bin.quantiles[5] == Approx(2 * 0.6745 * 0.3).margin(0.08));
  }
  CHECK(count == 4000);
  CHECK(change.bins.front().from == 0);
}

TEST_CASE("no change is no change", "[early_exit][rank_change]") {
  Rng rng(4, "change");
  RankPair pair = correlated(rng, 200, 0.3, 0);
  pair.after = pair.before;
  const RankChange change = measure_change("x", std::vector<RankPair>{pair});
  CHECK(change.sd == 0);
  CHECK(change.lag1 == 0);
  for (const double u : {0.0, 0.3, 1.0}) CHECK(change_at(change, 2.2, u) == 0);
}

TEST_CASE("quantiles by hand and their inverse", "[early_exit][rank_change]") {
  // 41 sentences of rank 10 that become 10^0, 10^0.1, ..., 10^4 (rounded ranks): quantile q is 4 q - 1
  RankPair pair;
  for (int i = 0; i <= 40; ++i) {
    pair.before.push_back(10);
    pair.after.push_back(static_cast<std::int32_t>(std::lround(std::pow(10.0, 0.1 * i))));
  }
  const RankChange change = measure_change("x", std::vector<RankPair>{pair});
  REQUIRE(change.bins.size() == 1);
  CHECK(change.bins[0].from == 0);
  CHECK(change.bins[0].to == 1.5);
  CHECK(change_at(change, 1, 0.0) == Approx(-1));
  CHECK(change_at(change, 1, 1.0) == Approx(3));
  CHECK(change_at(change, 1, 0.5) == Approx(1).margin(0.01));
  CHECK(change_at(change, 1, 0.625) == Approx(1.5).margin(0.01));  // between two kept quantiles
  CHECK(change_at(change, 9, 0.5) == change_at(change, 0, 0.5));   // the nearest bin outside
}

TEST_CASE("what cannot be measured is refused", "[early_exit][rank_change]") {
  CHECK_THROWS_WITH(measure_change("x", std::vector<RankPair>{{{1, 2}, {1}}}), contains("2 sentences without"));
  CHECK_THROWS_WITH(measure_change("x", std::vector<RankPair>{{{1, 2}, {1, 3}}}), contains("at least 30"));
  CHECK_THROWS_AS(measure_change("x", {}), Error);
}

TEST_CASE("simulated ranks move as measured and everything else stays", "[early_exit][rank_change]") {
  Rng rng(6, "change");
  std::vector<RankPair> pairs;
  for (int i = 0; i < 20; ++i) pairs.push_back(correlated(rng, 200, 0.25, 0.5));
  const RankChange change = measure_change("x", pairs);
  GeneratorModel model;
  model.rank_change = &change;
  std::vector<double> moved, next;
  for (std::uint64_t id = 0; id < 40; ++id) {
    const Trace a = generate(profile("qwen3-8b"), 1, id).trace, b = generate(profile("qwen3-8b"), 1, id, model).trace;
    REQUIRE(a.tok == b.tok);
    REQUIRE(a.ok == b.ok);
    double last = NAN;
    for (std::size_t k = 0; k < a.sentences(); ++k) {
      if (a.stage[k] != 1) continue;  // far from the clip at rank 1
      const double d = std::log10(static_cast<double>(b.rank[k]) / a.rank[k]);
      moved.push_back(d);
      if (!std::isnan(last)) next.push_back(d * last);
      last = d;
    }
  }
  double mean = 0, square = 0, product = 0;
  for (const double d : moved) mean += d, square += d * d;
  for (const double d : next) product += d;
  mean /= static_cast<double>(moved.size());
  const double variance = square / static_cast<double>(moved.size());
  CHECK(mean == Approx(0).margin(0.04));
  CHECK(std::sqrt(variance) == Approx(0.25).margin(0.03));
  CHECK(product / static_cast<double>(next.size()) / variance == Approx(0.5).margin(0.1));
}
