#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "sim/metric/crest_factor.hpp"
#include "sim/metric/kurtosis.hpp"
#include "sim/metric/quantiles.hpp"
#include "sim/metric/quantisation_error.hpp"
#include "sim/rng.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
}  // namespace

TEST_CASE("quantiles: linear interpolation as NumPy's default", "[metric]") {
  const Quantiles q = quantiles({4, 1, 3, 2});  // numpy.quantile([1, 2, 3, 4], [0, .25, .5, .75, 1])
  CHECK(q.min == 1);
  CHECK(q.q1 == 1.75);
  CHECK(q.median == 2.5);
  CHECK(q.q3 == 3.25);
  CHECK(q.max == 4);
  CHECK(quantiles({7}).q3 == 7);
  CHECK(std::isnan(quantiles({}).median));
  CHECK(std::isnan(quantiles({1, std::nan("")}).min));
}

TEST_CASE("crest factor: known blocks, ragged ends, channels and axes", "[metric]") {
  const std::vector<float> x = {1, -1, 1, -1, 0, 0, 3, 0, 0, 0};  // groups of 4: crest 1, sqrt(4) = 2, zero (2 long)
  const CrestFactors c = crest_factors(Layout::vector(10), x.data(), 4);
  CHECK(c.blocks == 3);
  CHECK(c.zero_blocks == 1);
  CHECK(c.mean == 1.5);
  CHECK(c.spread.max == 2);
  const CrestFactors whole = crest_factors(Layout::vector(10), x.data(), kChannelGroup);
  CHECK(whole.blocks == 1);
  CHECK(whole.mean == Approx(3 / std::sqrt(13.0 / 10)));
  CHECK(crest_factors(Layout::vector(10), x.data(), 256).mean == whole.mean);
  // the same data as columns
  std::vector<float> columns(20);
  for (std::size_t i = 0; i < 10; ++i) columns[2 * i] = columns[2 * i + 1] = x[i];
  const CrestFactors down = crest_factors(Layout({10, 2}, 0), columns.data(), 4);
  CHECK(down.blocks == 6);
  CHECK(down.mean == 1.5);
}

TEST_CASE("crest factor: the extremes of float, and what is undefined", "[metric]") {
  const float huge[] = {3e38f, 3e38f}, tiny[] = {1e-45f, 0};
  CHECK(crest_factor(huge, 2) == Approx(1));
  CHECK(crest_factor(tiny, 2) == Approx(std::sqrt(2.0)));
  const float with_nan[] = {1, kNan}, with_inf[] = {1, -kInf}, zeros[] = {0.0f, -0.0f};
  CHECK(std::isnan(crest_factor(with_nan, 2)));
  CHECK(std::isnan(crest_factor(with_inf, 2)));
  CHECK(std::isnan(crest_factor(zeros, 2)));
  CHECK(std::isnan(crest_factors(Layout::vector(2), zeros, 2).mean));
  CHECK(crest_factors(Layout::vector(2), zeros, 2).zero_blocks == 1);
  CHECK(std::isnan(crest_factors(Layout::vector(2), with_inf, 1).mean));
}

TEST_CASE("crest factor: the mean over Gaussian blocks of 16 and 32 is the published one", "[metric]") {
  Rng rng(1, "crest");
  std::vector<float> x(1 << 18);
  for (float& v : x) v = static_cast<float>(rng.normal());
  // i.i.d. Gaussian: 2.109 (sd 0.312) and 2.365 (sd 0.338); three standard errors of 2^14 and 2^13 blocks
  CHECK(crest_factors(Layout::vector(x.size()), x.data(), 16).mean == Approx(2.109).margin(0.0075));
  CHECK(crest_factors(Layout::vector(x.size()), x.data(), 32).mean == Approx(2.365).margin(0.0115));
}

TEST_CASE("excess kurtosis: two points, a uniform grid, a shifted copy, and the undefined", "[metric]") {
  const std::vector<float> two = {-1, 1, -1, 1};
  CHECK(excess_kurtosis(two.data(), 4) == -2);
  std::vector<float> grid(1001), shifted(1001);
  for (int i = 0; i <= 1000; ++i) grid[i] = static_cast<float>(i), shifted[i] = static_cast<float>(i + 4000000);
  const double n = 1001, exact = -6.0 / 5 * (n * n + 1) / (n * n - 1);  // discrete uniform
  CHECK(excess_kurtosis(grid.data(), grid.size()) == Approx(exact).epsilon(1e-12));
  CHECK(excess_kurtosis(shifted.data(), shifted.size()) == Approx(exact).epsilon(1e-9));
  const std::vector<float> same(10, 0.1f), bad = {1, 2, kNan};
  CHECK(std::isnan(excess_kurtosis(same.data(), same.size())));
  CHECK(std::isnan(excess_kurtosis(bad.data(), bad.size())));
  CHECK(std::isnan(excess_kurtosis(nullptr, 0)));
}

TEST_CASE("quantisation error: one ratio of sums, with its infinities", "[metric]") {
  const std::vector<float> x = {3, 4, 0}, y = {3, 4.5f, 0};
  const QuantisationError e = quantisation_error(x.data(), y.data(), 3);
  CHECK(e.qsnr_db == Approx(10 * std::log10(25 / 0.25)));
  CHECK(e.mse == Approx(0.25 / 3));
  CHECK(e.max_abs_error == 0.5);
  CHECK(quantisation_error(x.data(), x.data(), 3).qsnr_db == std::numeric_limits<double>::infinity());
  const std::vector<float> zero(3, 0.0f), infinite = {3, kInf, 0}, undefined = {3, kNan, 0};
  CHECK(std::isnan(quantisation_error(zero.data(), zero.data(), 3).qsnr_db));
  CHECK(quantisation_error(zero.data(), x.data(), 3).qsnr_db == -std::numeric_limits<double>::infinity());
  CHECK(std::isinf(quantisation_error(x.data(), infinite.data(), 3).max_abs_error));
  CHECK_FALSE(std::isfinite(quantisation_error(x.data(), infinite.data(), 3).qsnr_db));
  CHECK(std::isnan(quantisation_error(x.data(), undefined.data(), 3).mse));
  CHECK(std::isnan(quantisation_error(infinite.data(), infinite.data(), 3).qsnr_db));
}

TEST_CASE("quantiles of a sample that is seen twice equal those of the sample that is held", "[metric]") {
  Rng rng(3, "quantiles");
  for (const std::size_t n : {0, 1, 2, 3, 4, 5, 97, 5000}) {
    for (const bool ties : {false, true}) {
      std::vector<double> sample(n);
      for (double& v : sample) v = ties ? 1 + static_cast<double>(rng.below(3)) : 1 + std::fabs(rng.normal());
      if (n > 90) sample[7] = 70000;  // beyond the bins
      TwicePassedQuantiles first, second;
      for (std::size_t i = 0; i < n; ++i) (i % 3 ? first : second).count(sample[i]);
      first.merge_counts(second);
      first.choose_bins();
      std::vector<TwicePassedQuantiles::Kept> kept(2);
      for (std::size_t i = n; i-- > 0;) first.keep(sample[i], kept[i % 2]);
      const Quantiles a = first.result(kept), b = quantiles(sample);
      if (n == 0) {
        CHECK(std::isnan(a.median));
        continue;
      }
      CHECK((a.min == b.min && a.q1 == b.q1 && a.median == b.median && a.q3 == b.q3 && a.max == b.max));
      std::sort(sample.begin(), sample.end());
      CHECK((b.min == sample.front() && b.max == sample.back()));
      if (n % 2) CHECK(b.median == sample[n / 2]);
    }
  }
}

TEST_CASE("crest factors of long blocks are put together from spans", "[metric]") {
  Rng rng(4, "spans");
  std::vector<float> x(2 * kPowerSpan + 40);
  for (float& v : x) v = static_cast<float>(rng.normal());
  RowParts parts;
  BlockPower total;
  for (std::size_t first = 0; first < x.size(); first += kPowerSpan) {
    const std::size_t n = std::min(kPowerSpan, x.size() - first);
    parts.make(x.data() + first, n);
    total.add(parts.block(0, n));
  }
  CHECK(total.crest_factor() == crest_factor(x.data(), x.size()));
}
