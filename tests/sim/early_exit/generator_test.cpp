#include <cmath>

#include "formats/error.hpp"
#include "sim/early_exit/generator.hpp"
#include "sim/early_exit/registry.hpp"
#include "sim/early_exit/replay.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::early_exit;

TEST_CASE("a trace is a function of seed, profile and id", "[early_exit]") {
  const Trace a = generate(profile("qwen3-8b"), 7, 3).trace, b = generate(profile("qwen3-8b"), 7, 3).trace;
  CHECK(a.rank == b.rank);
  CHECK(a.tok == b.tok);
  CHECK(a.ok == b.ok);
  CHECK(a.tok != generate(profile("qwen3-8b"), 7, 4).trace.tok);
  CHECK(a.tok != generate(profile("qwen3-8b"), 8, 3).trace.tok);
  CHECK(a.tok != generate(profile("qwen3-14b"), 7, 3).trace.tok);
  CHECK_THROWS_AS(profile("qwen"), Error);
}

TEST_CASE("rank noise changes ranks and nothing else", "[early_exit]") {
  GeneratorModel noisy;
  noisy.rank_noise = 0.3;
  const Trace a = generate(profile("qwen3-8b"), 1, 5).trace, b = generate(profile("qwen3-8b"), 1, 5, noisy).trace;
  CHECK(a.tok == b.tok);
  CHECK(a.ok == b.ok);
  CHECK(a.conf == b.conf);
  CHECK(a.rank != b.rank);
}

TEST_CASE("sentence lengths, stages and reach follow their closed forms", "[early_exit]") {
  const Profile& p = profile("qwen3-8b");
  const GeneratorModel m;
  const int n = 4000;
  double sentences = 0, tokens = 0, log_reach = 0, log_reach2 = 0, stage1 = 0, before = 0;
  int reached = 0;
  for (int id = 0; id < n; ++id) {
    const Trace t = generate(p, 11, static_cast<std::uint64_t>(id)).trace;
    std::int64_t sum = 0, at_rcp = 0;
    for (std::size_t k = 0; k < t.sentences(); ++k) {
      sum += t.tok[k];
      REQUIRE(t.logp[k] <= -std::log(static_cast<double>(t.rank[k])) + 1e-12);
      REQUIRE(t.rank[k] >= 1);
      REQUIRE(t.rank[k] <= t.vocab_size);
      if (k > 0) REQUIRE(t.stage[k] >= t.stage[k - 1]);
      if (t.k_rcp != 0 && static_cast<int>(k) + 1 == t.k_rcp) at_rcp = sum;
      if (t.stage[k] == 1) stage1 += t.tok[k];
      if (t.stage[k] < 3) before += t.tok[k];
    }
    REQUIRE(sum == t.end.think_tok);
    REQUIRE(sum <= m.token_limit);
    sentences += static_cast<double>(t.sentences());
    tokens += static_cast<double>(sum);
    if (at_rcp > 0) {
      const double l = std::log(static_cast<double>(at_rcp));
      log_reach += l, log_reach2 += l * l, ++reached;
    }
  }
  // rounding and the floor of 4 tokens move the mean of 30 by less than 0.3
  CHECK(tokens / sentences == Approx(m.sentence_mean).margin(0.35));
  CHECK(stage1 / before == Approx(m.stage1_share).margin(0.01));
  // log T ~ N(log mT - sT^2/2, sT), cut at the token limit (2 % of the mass), read at the end of a sentence (+ about 20 tokens)
  const double mean = log_reach / reached, sd = std::sqrt(log_reach2 / reached - mean * mean);
  CHECK(mean == Approx(std::log(p.reach_mean) - p.reach_sigma * p.reach_sigma / 2).margin(0.06));
  CHECK(sd == Approx(p.reach_sigma).margin(0.06));
}

TEST_CASE("no detector thinks longer than the trace", "[early_exit]") {
  std::vector<std::unique_ptr<Detector>> detectors;
  for (const char* spec : {"rcpd", "rank", "probability", "deer", "consistency", "budget:tokens=3000", "full", "no-think"}) {
    detectors.push_back(make_detector(spec));
  }
  for (std::uint64_t id = 0; id < 300; ++id) {
    const Trace t = generate(profile("r1-distill-8b"), 3, id).trace;
    for (auto& detector : detectors) REQUIRE(replay(*detector, t)->think_tok <= t.end.think_tok);
  }
}
