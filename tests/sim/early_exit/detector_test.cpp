#include "formats/error.hpp"
#include "sim/early_exit/registry.hpp"
#include "sim/early_exit/replay.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::early_exit;

namespace {

/// Sentences of ten tokens with these ranks; answers are wrong up to the last two sentences.
Trace trace_of(std::vector<std::int32_t> ranks) {
  Trace t;
  const std::size_t n = ranks.size();
  t.vocab_size = 50000;
  t.tok.assign(n, 10);
  t.rank = std::move(ranks);
  t.logp.assign(n, -20);
  t.content_tok.assign(n, 100);
  t.ok.assign(n, Outcome::wrong);
  for (std::size_t k = n - std::min<std::size_t>(n, 2); k < n; ++k) t.ok[k] = Outcome::right;
  t.end = {true, static_cast<std::int64_t>(10 * n), 50, Outcome::right};
  return t;
}

std::size_t sentences(const char* spec, const Trace& trace) {
  return replay(*make_detector(spec), trace)->sentences;
}

}  // namespace

TEST_CASE("RCPD stops by each of its four rules at the first sentence that satisfies it", "[early_exit]") {
  // arXiv 2508.17627 v2, appendix C; each trace satisfies one rule alone
  const Trace sat = trace_of({900, 900, 6, 900, 5, 900, 900});
  CHECK(sentences("rcpd", sat) == 5);
  CHECK(sentences("rcpd:rules=14", sat) == 7);
  const Trace conv = trace_of({1001, 100, 50, 10, 1000, 100, 50, 10, 900});
  CHECK(sentences("rcpd", conv) == 8);
  CHECK(sentences("rcpd:rules=13", conv) == 9);
  const Trace brief = trace_of({900, 20, 20, 21, 20, 20, 20, 900, 900});
  CHECK(sentences("rcpd", brief) == 7);
  CHECK(sentences("rcpd:rules=3", brief) == 9);
  const Trace persistent = trace_of({50, 50, 50, 51, 50, 50, 50, 50, 50, 50, 900, 900});
  CHECK(sentences("rcpd", persistent) == 10);
  CHECK(sentences("rcpd:rules=7", persistent) == 12);
}

TEST_CASE("a rule that needs more history than there is is false", "[early_exit]") {
  CHECK(sentences("rcpd:rules=4", trace_of({20, 20, 900, 900})) == 4);
  CHECK(sentences("rcpd:rules=8", trace_of({50, 50, 50, 50, 50, 900, 900})) == 7);
  CHECK(sentences("rcpd:rules=2", trace_of({100, 50, 10, 900, 900})) == 5);
}

TEST_CASE("scale multiplies every threshold", "[early_exit]") {
  CHECK(sentences("rcpd:scale=2", trace_of({900, 10, 900, 900})) == 2);
  CHECK(sentences("rcpd:scale=0.5", trace_of({900, 5, 3, 2, 900})) == 4);
}

TEST_CASE("the outcome and the costs are those of the sentence where it stopped", "[early_exit]") {
  const Trace t = trace_of({900, 5, 900, 900});
  const Stop early = *replay(*make_detector("rcpd"), t);
  CHECK(early.reason == Stop::kDetector);
  CHECK(early.think_tok == 20);
  CHECK(early.content_tok == 100);
  CHECK(early.ok == Outcome::wrong);
  const Stop full = *replay(*make_detector("full"), t);
  CHECK(full.reason == Stop::kNaturalEnd);
  CHECK(full.think_tok == 40);
  CHECK(full.content_tok == 50);
  CHECK(full.ok == Outcome::right);
  CHECK(sentences("budget:tokens=20", t) == 2);
  CHECK(sentences("budget:tokens=21", t) == 3);
  CHECK(replay(*make_detector("no-think"), t)->reason == Stop::kNoThinking);
}

TEST_CASE("DEER asks at transition words alone, pays for each trial and stops above its threshold", "[early_exit]") {
  Trace t = trace_of(std::vector<std::int32_t>(8, 900));
  t.wait = {0, 1, 0, 1, 0, 1, 0, 0};
  t.conf = {0.99, 0.95, 0.99, 0.94, 0.99, 0.96, 0.99, 0.99};
  const Stop stop = *replay(*make_detector("deer"), t);
  CHECK(stop.sentences == 6);
  CHECK(stop.probe_tok == 3 * 20);
  CHECK(sentences("deer:trials=2", t) == 8);
  CHECK(sentences("deer:threshold=0.945", t) == 2);
}

TEST_CASE("consistency counts identical answers in a row and a missing one breaks the run", "[early_exit]") {
  Trace t = trace_of(std::vector<std::int32_t>(9, 900));
  t.ans = {1, 1, -1, -1, -1, 2, 2, 2, 2};
  const Stop stop = *replay(*make_detector("consistency:k=3"), t);
  CHECK(stop.sentences == 8);
  CHECK(stop.probe_tok == 8 * 100);
}

TEST_CASE("a signal that the trace lacks makes a detector not available", "[early_exit]") {
  const Trace t = trace_of({900, 900, 900});
  CHECK_FALSE(replay(*make_detector("deer"), t).has_value());
  CHECK_FALSE(replay(*make_detector("consistency"), t).has_value());
  CHECK_FALSE(replay(*make_detector("logit-boost"), t).has_value());
  CHECK_FALSE(replay(*make_detector("token-rank"), t).has_value());
}

TEST_CASE("the every-token variant sees ranks inside a sentence, whose outcome nobody knows", "[early_exit]") {
  Trace t = trace_of({900, 900, 900});
  t.tok_rank.assign(30, 900);
  t.tok_rank[14] = 3;
  const Stop stop = *replay(*make_detector("token-rank"), t);
  CHECK(stop.think_tok == 15);
  CHECK(stop.sentences == 2);
  CHECK(stop.ok == Outcome::unknown);
}

TEST_CASE("the every-token variant is not asked at the last token, which is the trace's own end", "[early_exit]") {
  Trace t = trace_of({900, 900, 900});
  t.tok_rank.assign(30, 900);
  t.tok_rank[29] = 1;  // the end token comes next
  const Stop natural = *replay(*make_detector("token-rank"), t);
  CHECK(natural.reason == Stop::kNaturalEnd);
  CHECK(natural.think_tok == 30);
  CHECK(natural.ok == Outcome::right);
  t.tok_rank[28] = 5;
  const Stop stopped = *replay(*make_detector("token-rank"), t);
  CHECK(stopped.reason == Stop::kDetector);
  CHECK(stopped.think_tok == 29);
}

TEST_CASE("unknown detectors and parameters name what is accepted", "[early_exit]") {
  CHECK_THROWS_WITH(make_detector("rpcd"),
                    lowbit::test::contains("unknown detector 'rpcd'") && lowbit::test::contains("rcpd, rank"));
  CHECK_THROWS_WITH(make_detector("rcpd:scal=2"), lowbit::test::contains("no parameter 'scal'"));
  CHECK_THROWS_AS(make_detector("rcpd:scale=nan"), Error);
  CHECK_THROWS_AS(make_detector("rcpd:scale=1:scale=2"), Error);
  CHECK_THROWS_AS(make_detector("budget:tokens"), Error);
  CHECK_THROWS_AS(make_detector("full:tokens=3"), Error);
  for (const char* spec : {"rcpd:rules=1.5", "consistency:k=2.9", "deer:trials=1e1", "deer-geometric:trials=0"})
    CHECK_THROWS_WITH(make_detector(spec), lowbit::test::contains("is not a whole number from 1 to"));
}
