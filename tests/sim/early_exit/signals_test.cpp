#include "sim/early_exit/signals.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "formats/error.hpp"
#include "sim/rng.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::early_exit;
using lowbit::test::contains;

TEST_CASE("rank counts strictly larger logits, ties are counted apart", "[early_exit][signals]") {
  const std::vector<float> y{1, 3, 2, 2, 2, -1};
  const EndSignals middle = end_signals(y, 3);
  CHECK(middle.rank == 2);
  CHECK(middle.ties == 2);
  CHECK(end_signals(y, 1).rank == 1);
  CHECK(end_signals(y, 5).rank == 6);
  // by hand: y_end = 2, max 3, mean 9/6
  CHECK(middle.boost == Approx(1 / 1.5).epsilon(1e-14));
  CHECK(middle.logp ==
        Approx(2 - std::log(std::exp(1.0) + std::exp(3.0) + 3 * std::exp(2.0) + std::exp(-1.0))).epsilon(1e-14));
  CHECK(end_signals(y, 1).boost == 0);
  const std::vector<float> equal(7, 0.5f), zeros{0.0f, -0.0f};
  CHECK(end_signals(equal, 4).rank == 1);
  CHECK(end_signals(equal, 4).ties == 6);
  CHECK(end_signals(equal, 4).logp == Approx(-std::log(7.0)).epsilon(1e-14));
  CHECK(end_signals(equal, 4).boost == 0);
  CHECK(end_signals(zeros, 1).ties == 1);  // +0 and -0 are equal
}

TEST_CASE("ranks by counting and by sorting agree", "[early_exit][signals]") {
  Rng rng(5, "signals");
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> y(1 + rng.below(400));
    // few different values: many ties; some -inf
    for (float& v : y) v = static_cast<float>(std::round(rng.normal() * (1 + trial % 7)) / (1 + trial % 3));
    if (trial % 5 == 0) y[rng.below(y.size())] = -std::numeric_limits<float>::infinity();
    if (trial % 5 == 0 && y.size() == 1) y[0] = 0;
    const auto end = static_cast<std::int32_t>(rng.below(y.size()));
    const EndSignals counted = end_signals(y, end), sorted = end_rank_by_sorting(y, end);
    CAPTURE(trial, end);
    REQUIRE(counted.rank == sorted.rank);
    REQUIRE(counted.rank == end_rank(y, end));
    REQUIRE(counted.ties == sorted.ties);
    REQUIRE(counted.logp <= -std::log(static_cast<double>(counted.rank)) + 1e-12);
    REQUIRE(near_end_token(y, end, 0) == counted.ties + 1);
  }
}

TEST_CASE("tokens that cannot come and logits that are none", "[early_exit][signals]") {
  const float inf = std::numeric_limits<float>::infinity();
  const EndSignals s = end_signals(std::vector<float>{2, -inf, 0}, 2);
  CHECK(s.rank == 2);
  CHECK(s.boost == Approx(2));  // the mean of the possible ones is 1
  const EndSignals never = end_signals(std::vector<float>{2, -inf, -inf}, 1);
  CHECK(never.rank == 2);
  CHECK(never.ties == 1);
  CHECK(never.logp == -inf);
  CHECK(never.boost == inf);
  CHECK_THROWS_WITH(end_signals(std::vector<float>{1, NAN}, 0), contains("token 1 is nan"));
  CHECK_THROWS_AS(end_signals(std::vector<float>{1, inf}, 0), Error);
  CHECK_THROWS_AS(end_rank(std::vector<float>{1, NAN}, 0), Error);
  CHECK_THROWS_AS(end_signals(std::vector<float>{-inf, -inf}, 0), Error);
  CHECK_THROWS_WITH(end_signals(std::vector<float>{1, 2}, 2), contains("outside the vocabulary of 2"));
  CHECK_THROWS_AS(end_signals(std::vector<float>{1, 2}, -1), Error);
  CHECK(near_end_token(std::vector<float>{1, 1.0001f, 0.9998f, 1.00005f}, 0, 1e-4) == 2);
}
