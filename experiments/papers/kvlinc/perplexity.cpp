// T2: perplexity of a small model on each kind of cache, in the views that papers use, with paired differences.
#include <algorithm>
#include <cmath>

#include "experiments/papers/kvlinc/kv_math.hpp"
#include "experiments/papers/kvlinc/open_tokens.hpp"
#include "experiments/papers/kvlinc/perplexity_caches.hpp"
#include "experiments/papers/kvlinc/perplexity_rows.hpp"
#include "experiments/papers/kvlinc/tables.hpp"
#include "formats/error.hpp"
#include "sim/model/loss.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

std::string checked_method(const std::string& text) {
  kv::make_method(parse_cache(text).method, {});
  return text;
}

std::size_t count(const Point& p, const char* name) {
  return static_cast<std::size_t>(p.integer(name));
}

/// Everything that a cache has sealed, all layers, byte by byte.
std::vector<std::uint8_t> dump(kv::Cache& cache, const model::Config& config) {
  std::vector<std::uint8_t> all;
  cache.settle();
  for (std::size_t layer = 0; layer < config.layers; ++layer)
    for (const char* name : {"k", "v"})
      for (std::size_t h = 0; h < cache.storage(static_cast<int>(layer)).heads(name); ++h) {
        const auto part = cache.storage(static_cast<int>(layer)).stream(name, h).dump();
        all.insert(all.end(), part.begin(), part.end());
      }
  return all;
}

// Share of the sealed bytes that differ when the first tokens of the text are decoded one by one instead of in one pass
// in the view of decoding: what rounding in the layers below does to codes when nothing keeps the two runs together.
double free_running_difference(const Point& p, Threads& threads) {
  const ModelText& text = *p.shared<ModelTextPtr>("model_text");
  const auto tokens = text.window(0).first(count(p, "stepwise"));
  const auto policy = policy_of(p);
  std::vector<std::uint8_t> dumps[2];
  for (int i = 0; i < 2; ++i) {
    model::Hooks hooks(text.model);
    hooks.cache(std::make_shared<kv::CacheFactory>(policy, i == 0));
    if (i == 0)
      hooks.attention("model.layers.*", std::make_shared<kv::ViewAttention>());
    else
      hooks.attention("model.layers.*", std::make_shared<kv::PackedAttention>(kv_math(p)));
    const auto cache = hooks.make_cache();
    const std::size_t step = i == 0 ? tokens.size() : 1;
    for (std::size_t t = 0; t < tokens.size(); t += step) {
      const model::TokenSpan span{tokens.subspan(t, step), cache.get()};
      model::forward(hooks, {&span, 1}, threads);
    }
    dumps[i] = dump(dynamic_cast<kv::Cache&>(*cache), text.model.config());
  }
  if (dumps[0].empty() || dumps[0].size() != dumps[1].size()) return std::nan("");
  double different = 0;
  for (std::size_t i = 0; i < dumps[0].size(); ++i) different += dumps[0][i] != dumps[1][i];
  return different / static_cast<double>(dumps[0].size());
}

Record compute_perplexity(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const ModelText& text = *p.shared<ModelTextPtr>("model_text");
  const kv::View view = kv::parse_view(p.text("view"));
  const bool cached = p.text("cache") != "fp";
  const std::size_t prompt = view == kv::View::prefill_fp ? text.context / 2 : 0;
  const bool stepwise = view == kv::View::decode && p.integer("text") == 0 && p.index("bits") == 0;
  model::Hooks hooks(text.model);
  const auto window = text.window(count(p, "text"));
  double bits = 16, aim = std::nan(""), different = std::nan("");
  if (cached) {
    if (stepwise && p.integer("stepwise") > 0) different = free_running_difference(p, threads);
    hooks.cache(std::make_shared<kv::CacheFactory>(policy_of(p), true));
    if (view != kv::View::all || parse_cache(p.text("cache")).adapters)
      hooks.attention("model.layers.*", std::make_shared<kv::ViewAttention>(static_cast<std::int64_t>(prompt), view));
  }
  const auto cache = hooks.make_cache();
  const model::TokenSpan span{window, cached ? cache.get() : nullptr};
  const model::PassResult pass = model::forward(hooks, {&span, 1}, threads);
  const model::Config& config = text.model.config();
  if (cached) {
    const Fitted& fitted = *p.shared<FittedPtr>("rules");
    bits = fitted.open_bits +
           8 * static_cast<double>(cache->bytes()) /
               static_cast<double>(2 * config.layers * config.kv_heads * config.head_dim * text.context);
    aim = fitted.matched_bits;
  }
  const std::vector<double> losses = model::token_losses(hooks, pass, window, threads);
  double sum = 0;
  const std::size_t first = prompt > 0 ? prompt - 1 : 0;
  for (std::size_t i = first; i < losses.size(); ++i) sum += losses[i];
  return {{"loss", sum / static_cast<double>(losses.size() - first)},
          {"stored_bits", bits},
          {"matched_bits", aim},
          {"free_running_difference", different}};
}

/// all and decode are one to the unquantised model: the first of them stands for both.
bool stands_for_unquantised(const Point& p) {
  if (p.text("view") == "prefill_fp") return true;  // its tokens are counted apart
  for (const Value& view : p.coordinates("view"))
    if (view.text() != "prefill_fp") return view.text() == p.text("view");
  return true;
}

bool applies(const Point& p) {
  if (p.text("cache") == "fp") return p.index("bits") == 0 && stands_for_unquantised(p);
  const auto& all_bits = p.coordinates("bits");
  const bool has_two = std::any_of(all_bits.begin(), all_bits.end(), [](const Value& b) { return b.integer() == 2; });
  if (p.integer("bits") == 2 || !has_two) return true;
  const NamedCache named = parse_cache(p.text("cache"));
  // 3 and 4 bits lie closer together and vary less; sinks and adapters are about 2 bits
  return p.integer("text") < 4 && named.sinks == 0 && !named.adapters;
}

const std::vector<std::string> kMethods = {
    "fp",     "kivi", "kivi_pre", "quarot",  "kvlinc",       "kvlinc_adapters", "had_channel",        "per_token",
    "gear_l", "gear", "resq",     "kvquant", "kivi:sinks=4", "kvlinc:sinks=4",  "had_channel:sinks=4"};

kv::MethodOptions spanning(const Params& p) {
  kv::MethodOptions options;
  options.group_span_layer = p.text("group_span") == "layer";
  return options;
}

kv::LayerShape shape_of(const Params& p) {
  const model::Config config = model::read_config(model::find_model(p.text("model")));
  return {config.kv_heads, config.head_dim};
}

void check_params(const Params& p) {
  if (p.integer("stepwise") > p.integer("context"))
    throw_error(ExitCode::usage, "--stepwise: {} tokens of a text of {}; accepted: at most as many as --context, 0: none",
                p.integer("stepwise"), p.integer("context"));
  // one by one, the first block is sealed after max(R, 128) tokens; the next ones read it and are sealed R later
  if (const auto least = p.integer("residual") + std::max<std::int64_t>(p.integer("residual"), 128);
      kv_math(p) != kv::KvMath::exact && p.integer("stepwise") <= least)
    throw_error(ExitCode::usage,
                "--kv-math: fused with --stepwise {} has no effect: what reads packed codes is sealed after more than "
                "{} tokens; accepted: exact, or more tokens one by one",
                p.integer("stepwise"), least);
  if (p.integer("features") % 2 != 0)
    throw_error(ExitCode::usage, "--features: {}; an even number is expected", p.integer("features"));
  kv::Window{kv::Window::Kind::filled, static_cast<std::size_t>(p.integer("residual")), 0}.check(128, "--residual");
}

std::vector<Row> rows_with_groups(const Results& results) {
  std::vector<Row> rows = perplexity_rows(results);
  add_group_row(spanning(results.params()), shape_of(results.params()), rows);
  add_open_row(static_cast<std::size_t>(results.params().integer("context")), 128, rows);
  return rows;
}

Experiment perplexity() {
  return with_references(
      with_caches(with_kv_math(with_model(Experiment{"kvlinc/perplexity"}, 4, 2048)))
          .paper(kPaper, "T2", "Perplexity of a small model on quantised caches")
          .param("residual", 128, "tokens that stay open in the views decode and prefill_fp; a multiple of 128",
                 between(0, 4096))
          .param("stepwise", 272,
                 "tokens of the first text that are also decoded one by one at the first bits, to count codes that "
                 "differ; beyond twice the residual window there are codes of tokens that have read codes",
                 between(0, 1 << 17))
          .param("group_span", "head",
                 "token-wise groups and thresholds end at the head, or run over the layer's heads",
                 one_of({"head", "layer"}))
          .param("match", "none",
                 "bits: G or rank of each method such that its bits come nearest to KVLinC with adapters",
                 one_of({"none", "bits"}))
          .param("features", 64, "D of the adapters; even", between(2, 1024))
          .param("chunks", 2,
                 "windows that adapters are trained on, after those that are evaluated and one to validate",
                 between(1, 1000))
          .param("epochs", 20, "passes of the training over the chunks, a step a chunk", between(0, 100000))
          .param("rate", 0.01, "of AdamW at the start; a tenth whenever ten epochs bring nothing", between(1e-6, 1))
          .param("gain", 0.001,
                 "of the correction at the start; the better one of the sweep of the figure adapters, which reads the "
                 "beginning of the same novel: held out from training, not from this choice",
                 between(1e-9, 10))
          .axis("cache", texts(kMethods, checked(checked_method)), "",
                "method; kvlinc_adapters: with trained corrections; :sinks=N leaves the first N tokens unquantised")
          .axis("view", texts({"all", "decode"}, one_of({"all", "decode", "prefill_fp"})), "",
                "what a query sees: every full block quantised; what decoding shows; an unquantised first half (whose "
                "tokens are not counted)")
          .axis("bits", bounded({2, 4}, 2, 8), "bit",
                "of the codes; in a run with 2 bits the others take the first four texts alone, without sinks and "
                "adapters")
          .axis("text", text_numbers, "1", "window of the text")
          .draws_vary_with({})
          .where(applies)
          .output("loss", "nat",
                  "-log of the probability of the token that follows, mean over tokens; at 2 bits in the view all, "
                  "matrix products that round otherwise (OPENBLAS_CORETYPE) move it by some hundredths")
          .output("stored_bits", "bit",
                  "bytes held while the last token attends * 8 / cached values; sealed bytes as the text has them")
          .output("matched_bits", "bit", "what --match bits aims at: those of KVLinC with adapters")
          .output("free_running_difference", "1",
                  "share of sealed bytes that differ between decoding one by one and one pass (decode, first text)")
          .validate(check_params)
          .runs_alone()
          .quick(
              "texts=1 context=256 cache=fp,kivi,kvlinc,kvlinc_adapters bits=2 chunks=1 epochs=1 features=8 stepwise=0")
          .full("texts=8 bits=2,3,4 stepwise=384")
          .cost(840)
          .point(compute_perplexity)
          .rows(rows_with_groups));
}
LOWBIT_REGISTER(perplexity);

}  // namespace
}  // namespace lowbit
