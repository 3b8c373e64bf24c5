// T2: perplexity of a small model on each kind of cache, in the views that papers use, with paired differences.
#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/kvlinc/model_text.hpp"
#include "experiments/papers/kvlinc/tables.hpp"
#include "formats/error.hpp"
#include "sim/model/loss.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

/// "kivi" or "kivi:sinks=4": a method whose first tokens stay unquantised.
struct Named {
  std::string method;
  std::size_t sinks = 0;
};
Named parse_named(const std::string& text) {
  constexpr std::string_view kSinks = ":sinks=";
  const std::size_t place = text.find(kSinks);
  Named named{text.substr(0, place), 0};
  if (place == text.npos) return named;
  const std::string number = text.substr(place + kSinks.size());
  if (number.empty() || number.size() > 3 || number.find_first_not_of("0123456789") != number.npos)
    throw_error(ExitCode::usage, "method '{}': sinks must be a number of tokens up to 999", text);
  named.sinks = std::stoul(number);
  return named;
}

std::string checked_method(const std::string& text) {
  kv::make_method(parse_named(text).method, {});
  return text;
}

ModelTextPtr make_text(const Point& p, Rng) {
  return load_model_text(p, 1);
}

std::shared_ptr<const Captured> make_calibration(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  return std::make_shared<const Captured>(
      capture(*p.shared<ModelTextPtr>("model_text"), static_cast<std::size_t>(p.integer("texts")), threads));
}

std::vector<kv::LayerRules> rules_of(const Point& p) {
  const ModelText& text = *p.shared<ModelTextPtr>("model_text");
  const model::Config& config = text.model.config();
  const Named named = parse_named(p.text("cache"));
  const bool all = kv::parse_view(p.text("view")) == kv::View::all;
  kv::MethodOptions options;
  options.bits = static_cast<int>(p.integer("bits"));
  options.group = named.method.starts_with("gear") ? 64 : 128;
  options.residual = all ? 0 : static_cast<std::size_t>(p.integer("residual"));
  options.block = all ? 0 : options.residual;
  options.sinks = named.sinks;
  options.group_span_layer = named.method.starts_with("kvquant");  // percentiles of the whole token
  const auto method = kv::make_method(named.method, options);
  std::vector<kv::LayerRules> rules;
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    kv::Calibration calibration;
    if (method->fitted()) {
      const auto& fit = p.shared<std::shared_ptr<const Captured>>("calibration")->layers[layer];
      calibration = {fit.k_pre, fit.k, fit.v};
    }
    rules.push_back(method->rules({config.kv_heads, config.head_dim}, &calibration));
  }
  return rules;
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
double free_running_difference(const Point& p, const std::vector<kv::LayerRules>& rules, Threads& threads) {
  const ModelText& text = *p.shared<ModelTextPtr>("model_text");
  const auto tokens = text.window(0).first(static_cast<std::size_t>(p.integer("stepwise")));
  const model::Rope* rope = &text.model.rope();
  const auto policy = [&rules, rope] { return std::make_unique<kv::WindowPolicy>(rules, rope); };
  std::vector<std::uint8_t> dumps[2];
  for (int i = 0; i < 2; ++i) {
    model::Hooks hooks(text.model);
    hooks.cache(std::make_shared<kv::CacheFactory>(policy, i == 0));
    if (i == 0)
      hooks.attention("model.layers.*", std::make_shared<kv::ViewAttention>());
    else
      hooks.attention("model.layers.*", std::make_shared<kv::PackedAttention>());
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
  const std::size_t prompt = view == kv::View::prefill_fp ? text.context / 2 : 0;
  model::Hooks hooks(text.model);
  const auto window = text.window(static_cast<std::size_t>(p.integer("text")));
  double bits = 16, different = std::nan("");
  if (p.text("cache") != "fp") {
    const auto rules = rules_of(p);
    const model::Rope* rope = &text.model.rope();
    if (view == kv::View::decode && p.integer("text") == 0 && p.integer("stepwise") > 0)
      different = free_running_difference(p, rules, threads);
    hooks.cache(std::make_shared<kv::CacheFactory>(
        [rules, rope] { return std::make_unique<kv::WindowPolicy>(rules, rope); }, true));
    if (view != kv::View::all)
      hooks.attention("model.layers.*", std::make_shared<kv::ViewAttention>(static_cast<std::int64_t>(prompt)));
  }
  const auto cache = hooks.make_cache();
  const model::TokenSpan span{window, p.text("cache") == "fp" ? nullptr : cache.get()};
  const model::PassResult pass = model::forward(hooks, {&span, 1}, threads);
  const model::Config& config = text.model.config();
  if (p.text("cache") != "fp")
    bits = 8 * static_cast<double>(cache->bytes()) /
           static_cast<double>(2 * config.layers * config.kv_heads * config.head_dim * text.context);
  const std::vector<double> losses = model::token_losses(hooks, pass, window, threads);
  double sum = 0;
  const std::size_t first = prompt > 0 ? prompt - 1 : 0;
  for (std::size_t i = first; i < losses.size(); ++i) sum += losses[i];
  return {{"loss", sum / static_cast<double>(losses.size() - first)},
          {"stored_bits", bits},
          {"free_running_difference", different}};
}

// ---- rows ----

/// Mean losses of texts where both have one, and their differences.
class Losses {
 public:
  explicit Losses(const Results& results) : results_(results) {}
  std::vector<double> of(const std::string& method, const std::string& view, int bits) const {
    // unquantised, all and decode are one: it is computed once, at the first bits
    const std::string own = method == "fp" && view == "decode" ? "all" : view;
    const Value own_bits = method == "fp" ? results_.coordinates("bits").front() : Value(bits);
    std::vector<double> losses;
    for (const Value& text : results_.coordinates("text"))
      losses.push_back(results_.at("loss", {{"cache", method}, {"view", own}, {"bits", own_bits}, {"text", text}}));
    return losses;
  }

 private:
  const Results& results_;
};

struct Difference {
  double mean = NAN, error = NAN;  // standard error
  std::size_t n = 0;
  bool resolved() const { return n > 1 && std::abs(mean) > 2 * error; }
};

Difference difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> d;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!std::isnan(a[i] - b[i])) d.push_back(a[i] - b[i]);
  Difference out;
  out.n = d.size();
  if (d.empty()) return out;
  out.mean = 0;
  for (const double x : d) out.mean += x / static_cast<double>(d.size());
  double squares = 0;
  for (const double x : d) squares += (x - out.mean) * (x - out.mean);
  if (d.size() > 1) out.error = std::sqrt(squares / static_cast<double>(d.size() - 1) / static_cast<double>(d.size()));
  return out;
}

/// Bands belong to 4 texts of 2048 tokens and more; a smaller run has rows of its own.
std::string prefix(const Results& results) {
  const bool full = results.params().integer("texts") >= 4 && results.params().integer("context") >= 2048;
  return full ? "" : "small run: ";
}

// Percent of perplexity added, from paired losses: 100 (e^d - 1), with 2 standard errors.
Row increase_row(const std::string& quantity, const Difference& d) {
  const auto percent = [](double x) { return 100 * (std::exp(x) - 1); };
  if (d.n == 0) return exact_row(quantity, std::nan(""));
  Row row = sampled_row(quantity, percent(d.mean), {percent(d.mean - 2 * d.error), percent(d.mean + 2 * d.error)});
  if (d.n == 1) row.interval = Interval{row.ours, row.ours}, row.note = "one text: no standard error; ";
  row.unit = "%";
  row.note += fmt::format("{} texts, interval of 2 standard errors of paired losses", d.n);
  return row;
}

void add_orders(const Results& results, const Losses& losses, const std::string& view, int bits,
                std::vector<Row>& rows) {
  for (const auto& [a, b] :
       {std::pair{"kvlinc", "kivi"}, std::pair{"had_channel", "kvlinc"}, std::pair{"had_channel", "kivi"},
        std::pair{"kvquant", "kivi_pre"}, std::pair{"kivi_pre", "kivi"}, std::pair{"quarot", "kivi"},
        std::pair{"gear_l", "kivi"}, std::pair{"resq", "kivi"}, std::pair{"kivi:sinks=4", "kivi"},
        std::pair{"kvlinc:sinks=4", "kvlinc"}}) {
    const Difference d = difference(losses.of(a, view, bits), losses.of(b, view, bits));
    if (d.n == 0) continue;
    Row row = increase_row(fmt::format("{}{} against {}[view={},bits={}]", prefix(results), a, b, view, bits), d);
    row.note += d.n < 2 ? "" : d.resolved() ? "; resolved" : "; not resolved";
    rows.push_back(row);
  }
}

std::vector<Row> perplexity_rows(const Results& results) {
  const Losses losses(results);
  std::vector<Row> rows;
  for (const Value& view : results.coordinates("view"))
    for (const Value& bits : results.coordinates("bits")) {
      const auto b = static_cast<int>(bits.integer());
      for (const Value& method : results.coordinates("cache")) {
        if (method.text() == "fp") continue;
        const Difference d = difference(losses.of(method.text(), view.text(), b), losses.of("fp", view.text(), b));
        if (d.n == 0) continue;
        rows.push_back(increase_row(
            fmt::format("{}increase[method={},view={},bits={}]", prefix(results), method.text(), view.text(), b), d));
      }
      add_orders(results, losses, view.text(), b, rows);
      const Difference token = difference(losses.of("per_token", view.text(), b), losses.of("fp", view.text(), b)),
                       kivi = difference(losses.of("kivi", view.text(), b), losses.of("fp", view.text(), b));
      if (token.n > 0 && kivi.n > 0)
        rows.push_back(
            exact_row(fmt::format("{}increase per_token / kivi[view={},bits={}]", prefix(results), view.text(), b),
                      (std::exp(token.mean) - 1) / (std::exp(kivi.mean) - 1)));
    }
  for (const Value& bits : results.coordinates("bits"))
    for (const Value& method : results.coordinates("cache")) {
      const Coordinates where{{"cache", method}, {"view", "decode"}, {"bits", bits}, {"text", 0}};
      const double share = results.at("free_running_difference", where);
      if (std::isnan(share)) continue;
      Row differ = exact_row(
          fmt::format("free-running: sealed bytes that differ[method={},bits={}]", method.text(), bits.integer()),
          100 * share);
      differ.unit = "%";
      differ.note = fmt::format("{} tokens one by one against one pass", results.params().integer("stepwise"));
      rows.push_back(differ);
    }
  const Difference fp = difference(losses.of("fp", "all", 2), std::vector<double>(results.coordinates("text").size()));
  Row row = exact_row(prefix(results) + "perplexity[method=fp]", std::exp(fp.mean));
  row.note =
      fmt::format("{} texts of {} tokens", results.params().integer("texts"), results.params().integer("context"));
  rows.push_back(row);
  return rows;
}

bool applies(const Point& p) {
  const bool first_bits = p.index("bits") == 0;
  if (p.text("cache") == "fp") return first_bits && p.text("view") != "decode";
  return p.integer("bits") == 2 || p.integer("text") < 4;  // 3 and 4 bits lie closer together and vary less
}

const std::vector<std::string> kMethods = {"fp", "kivi", "quarot", "kvlinc", "had_channel"};
constexpr const char* kFull =
    "texts=8 context=2048 bits=2,3,4 stepwise=384 "
    "cache=fp,kivi,kivi_pre,quarot,kvlinc,had_channel,per_token,gear_l,gear,resq,kvquant,kivi:sinks=4,kvlinc:sinks=4,"
    "had_channel:sinks=4";

Experiment perplexity() {
  return with_references(
      with_model(Experiment{"kvlinc/perplexity"}, 2, 1024)
          .paper(kPaper, "T2", "Perplexity of a small model on quantised caches")
          .param("residual", 128, "tokens that stay open in the views decode and prefill_fp; a multiple of 128",
                 between(0, 4096))
          .param("stepwise", 0, "tokens of the first text that are also decoded one by one, to count codes that differ",
                 between(0, 1 << 17))
          .axis("cache", texts(kMethods, checked(checked_method)), "",
                "method; :sinks=N leaves the first N tokens unquantised")
          .axis("view", texts({"all", "decode"}, one_of({"all", "decode", "prefill_fp"})), "",
                "what a query sees: every full block quantised; what decoding shows; an unquantised first half (whose "
                "tokens are not counted)")
          .axis("bits", integers({2}), "bit", "of the codes")
          .axis("text", text_numbers, "1", "window of the text")
          .draws_vary_with({})
          .where(applies)
          .shared("model_text", {}, make_text)
          .shared("calibration", {}, make_calibration)
          .output("loss", "nat", "-log of the probability of the token that follows, mean over tokens")
          .output("stored_bits", "bit", "bytes of the cache at the end * 8 / cached values")
          .output("free_running_difference", "1",
                  "share of sealed bytes that differ between decoding one by one and one pass (decode, first text)")
          .validate([](const Params& p) {
            if (p.integer("stepwise") > p.integer("context"))
              throw_error(ExitCode::usage, "--stepwise: {} tokens; a text has {}", p.integer("stepwise"),
                          p.integer("context"));
            kv::Window{kv::Window::Kind::filled, static_cast<std::size_t>(p.integer("residual")), 0}.check(
                128, "--residual");
          })
          .runs_alone()
          .quick("texts=1 context=256 cache=fp,kivi,kvlinc")
          .full(kFull)
          .cost(45)
          .point(compute_perplexity)
          .rows(perplexity_rows));
}
LOWBIT_REGISTER(perplexity);

}  // namespace
}  // namespace lowbit
