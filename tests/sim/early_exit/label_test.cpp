#include <cmath>

#include "formats/error.hpp"
#include "sim/early_exit/label.hpp"
#include "sim/rng.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::early_exit;
using lowbit::test::contains;

namespace {

/// `count` samples of N(mean, sd^2) in every dimension, lengths about `length`.
SampledContents draw(Rng& rng, std::size_t count, std::size_t dim, double mean, double sd, double length) {
  SampledContents s;
  for (std::size_t i = 0; i < count * dim; ++i) s.embedding.push_back(mean + sd * rng.normal());
  for (std::size_t i = 0; i < count; ++i) s.length.push_back(length + 0.5 * rng.normal());
  return s;
}

Trace with_answers(std::vector<std::int32_t> answers) {
  Trace t;
  t.ans = std::move(answers);
  return t;
}

}  // namespace

TEST_CASE("the Gaussian divergence has its closed forms", "[early_exit][label]") {
  // one dimension: ln(sb/sa) + (sa^2 + (ma - mb)^2) / (2 sb^2) - 1/2
  CHECK(gaussian_divergence({1}, {4}, {3}, {9}) == Approx(std::log(3.0 / 2) + (4 + 4) / 18.0 - 0.5).epsilon(1e-14));
  CHECK(gaussian_divergence({1, 2}, {2, 0.5, 0.5, 1}, {1, 2}, {2, 0.5, 0.5, 1}) == Approx(0).margin(1e-14));
  // two dimensions by hand: A = [[2, 1], [1, 2]], B = I, shift (1, -1): 1/2 (4 + 2 - 2 + ln(1/3))
  CHECK(gaussian_divergence({0, 0}, {2, 1, 1, 2}, {1, -1}, {1, 0, 0, 1}) ==
        Approx(2 - 0.5 * std::log(3.0)).epsilon(1e-14));
  // the other way round: tr(A^-1) = 4/3, (1,-1) A^-1 (1,-1)^T = 2, ln det A = ln 3
  CHECK(gaussian_divergence({1, -1}, {1, 0, 0, 1}, {0, 0}, {2, 1, 1, 2}) ==
        Approx(0.5 * (4.0 / 3 + 2 - 2 + std::log(3.0))).epsilon(1e-14));
  CHECK_THROWS_AS(gaussian_divergence({0, 0}, {1, 2, 2, 1}, {0, 0}, {1, 0, 0, 1}), Error);
}

TEST_CASE("contents that settle are labelled where both conditions hold first", "[early_exit][label]") {
  Rng rng(5, "label");
  std::vector<SampledContents> steps;
  // the distribution settles at step 21, the length only at step 26
  for (int k = 1; k <= 60; ++k)
    steps.push_back(draw(rng, 40, 6, k < 21 ? 5 - 0.2 * k : 0, 1, k < 26 ? 900 - 30 * k : 120));
  LabelOptions options;
  options.axes = 4;
  options.slack = 1.5;
  const Label label = label_contents(steps, 6, options);
  CHECK(label.k_rcp >= 27);  // step 26 still changes the length by 45
  CHECK(label.k_rcp <= 29);
  CHECK(label.divergence[0] > 3 * label.tolerance_divergence);
  CHECK(std::isnan(label.change[0]));
  CHECK(label.change[10] == Approx(30).margin(1));
  for (const double d : label.divergence) CHECK(d >= 0);
}

TEST_CASE("labels do not depend on a rotation or shift of the embedding", "[early_exit][label]") {
  Rng rng(6, "label");
  std::vector<SampledContents> steps, turned;
  for (int k = 1; k <= 30; ++k) steps.push_back(draw(rng, 20, 2, k < 12 ? 4.0 / k : 0, 1, k < 12 ? 500 - 20 * k : 100));
  for (SampledContents s : steps) {
    for (std::size_t i = 0; i < s.embedding.size(); i += 2) {
      const double x = s.embedding[i], y = s.embedding[i + 1];
      s.embedding[i] = 0.6 * x - 0.8 * y + 3;
      s.embedding[i + 1] = 0.8 * x + 0.6 * y - 7;
    }
    turned.push_back(s);
  }
  const Label a = label_contents(steps, 2), b = label_contents(turned, 2);
  CHECK(a.k_rcp == b.k_rcp);
  for (std::size_t k = 0; k < steps.size(); ++k) CHECK(a.divergence[k] == Approx(b.divergence[k]).epsilon(1e-9));
}

TEST_CASE("contents that cannot be labelled are refused", "[early_exit][label]") {
  Rng rng(7, "label");
  std::vector<SampledContents> steps;
  for (int k = 0; k < 8; ++k) steps.push_back(draw(rng, 5, 3, 0, 1, 10));
  CHECK_NOTHROW(label_contents(steps, 3));
  CHECK_THROWS_WITH(label_contents({steps.begin(), steps.begin() + 5}, 3), contains("at least 6"));
  CHECK_THROWS_WITH(label_contents(steps, 4), contains("step 1 has 15 embedding values"));
  CHECK_THROWS_AS(label_contents(steps, 0), Error);
  auto bad = steps;
  bad[3].embedding[2] = NAN;
  CHECK_THROWS_WITH(label_contents(bad, 3), contains("step 4"));
  bad = steps;
  bad[2] = {};
  CHECK_THROWS_WITH(label_contents(bad, 3), contains("step 3 has no sample"));
  for (auto& s : bad = steps) s.embedding.assign(15, 1.0);
  CHECK_THROWS_WITH(label_contents(bad, 3), contains("equal"));
}

TEST_CASE("the label from answers is the start of the last unbroken run", "[early_exit][label]") {
  CHECK(label_answers(with_answers({})) == 0);
  CHECK(label_answers(with_answers({-1, -1})) == 0);
  CHECK(label_answers(with_answers({0, 1, 1, 1})) == 2);
  CHECK(label_answers(with_answers({1, 0, 1, -1, 1, -1})) == 3);  // gaps are unknown, not other answers
  CHECK(label_answers(with_answers({2, 2, 2})) == 1);
  CHECK(label_answers(with_answers({1, 1, 0})) == 3);
}
