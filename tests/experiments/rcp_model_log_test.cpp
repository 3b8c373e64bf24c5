// rcp log: windows of whole sentences, and the pass over a quantised cache against decoding token by token.
#include <array>
#include <string>

#include "experiments/papers/rcp/model_log.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/signals.hpp"
#include "sim/early_exit/trace_file.hpp"
#include "sim/model/forward.hpp"
#include "sim/model/model.hpp"
#include "sim/model/quantised_sites.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::rcp;
using lowbit::test::contains;

namespace {

using Ends = std::vector<std::size_t>;

std::vector<std::int32_t> some_tokens(std::size_t n) {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < n; ++i) tokens.push_back(static_cast<std::int32_t>(i * i * 7 + 3 * i + 5) % 96);
  return tokens;
}

}  // namespace

TEST_CASE("windows hold whole sentences", "[rcp][model_log]") {
  const Ends ends{4, 9, 12, 20, 21};
  const auto windows = text_windows(ends, 10, 0);
  REQUIRE(windows.size() == 3);
  CHECK(windows[0].first == 0);
  CHECK(windows[0].ends == Ends{4, 9});
  CHECK(windows[1].first == 9);
  CHECK(windows[1].ends == Ends{3});  // 3 + 8 tokens are more than 10
  CHECK(windows[2].first == 12);
  CHECK(windows[2].ends == Ends{8, 9});
  CHECK(text_windows(ends, 10, 2).size() == 2);
  CHECK(text_windows(ends, 21, 0).size() == 1);
  CHECK_THROWS_WITH(text_windows(ends, 7, 0), contains("tokens 12 to 19"));
}

TEST_CASE("a pass over a quantised cache sees what decoding token by token sees", "[rcp][model_log]") {
  Threads threads(2);
  for (const char* family : {"llama3", "qwen3", "mistral"}) {
    const model::Model m =
        model::Model::load(std::string(LOWBIT_SOURCE_DIR) + "/tests/vectors/model/" + family, threads);
    const auto tokens = some_tokens(40);
    for (const char* format : {"", "int8:g16:asym", "int2:g16:asym", "mxfp4:g16"}) {
      model::Hooks hooks(m);
      model::SiteOptions sites;
      sites.kv = format;
      if (sites.any()) model::attach(hooks, sites, threads);
      LogOptions options;
      options.end_token = 11;
      options.verify = true;
      TextWindow window;
      window.ends = {7, 8, 25, 40};
      const early_exit::Trace trace = log_window(hooks, tokens, {}, window, options, threads);
      CAPTURE(family, format);
      REQUIRE_FALSE(early_exit::check(trace));
      CHECK(trace.tok == std::vector<std::int32_t>{7, 1, 17, 15});

      const auto cache = hooks.make_cache();
      std::size_t sentence = 0;
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        const model::TokenSpan one{std::span(tokens).subspan(i, 1), cache.get()};
        const model::PassResult pass = model::forward(hooks, {&one, 1}, threads);
        const model::Matrix logits = model::last_logits(hooks, pass, threads);
        const std::span<const float> y(logits.data(), logits.columns());
        // the passes sum in another order: logits within 1e-4 of the end token's may change places
        const std::int32_t near = early_exit::near_end_token(y, options.end_token, 1e-4) - 1;
        const early_exit::EndSignals s = early_exit::end_signals(y, options.end_token);
        CAPTURE(i);
        REQUIRE(std::abs(s.rank - trace.tok_rank[i]) <= near);
        if (i + 1 != window.ends[sentence]) continue;
        REQUIRE(std::abs(s.rank - trace.rank[sentence]) <= near);
        REQUIRE(trace.logp[sentence] == Approx(s.logp).margin(1e-4));
        ++sentence;
      }
    }
  }
}
