#include "experiments/papers/kvlinc/perplexity_caches.hpp"

#include <cmath>

#include "experiments/papers/kvlinc/match.hpp"
#include "experiments/papers/kvlinc/tables.hpp"
#include "experiments/papers/kvlinc/training.hpp"
#include "formats/error.hpp"

namespace lowbit::kvlinc {
namespace {

constexpr std::string_view kAdapters = "kvlinc_adapters";

std::size_t count(const Point& p, const char* name) {
  return static_cast<std::size_t>(p.integer(name));
}

/// Windows after those that are evaluated: one for calibration and validation, then those that adapters train on.
ModelTextPtr make_text(const Point& p, Rng) {
  ModelTextPtr text = load_model_text(p, 1 + count(p, "chunks"));
  for (const Value& cache : p.coordinates("cache"))  // before anything is computed
    if (parse_cache(cache.text()).adapters) refuse_windows(text->model.config());
  return text;
}

using CapturedPtr = std::shared_ptr<const Captured>;

CapturedPtr make_calibration(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  return std::make_shared<const Captured>(capture(*p.shared<ModelTextPtr>("model_text"), count(p, "texts"), threads));
}

CapturedPtr make_squares(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  return std::make_shared<const Captured>(
      capture_squares(*p.shared<ModelTextPtr>("model_text"), count(p, "texts"), threads));
}

std::vector<CapturedPtr> make_chunks(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  std::vector<CapturedPtr> chunks;
  for (std::size_t i = 0; i < count(p, "chunks"); ++i)
    chunks.push_back(std::make_shared<const Captured>(
        capture(*p.shared<ModelTextPtr>("model_text"), count(p, "texts") + 1 + i, threads)));
  return chunks;
}

kv::MethodOptions options_of(const Point& p, const NamedCache& named, kv::View view) {
  const bool all = view == kv::View::all;
  kv::MethodOptions options;
  options.bits = static_cast<int>(p.integer("bits"));
  options.group = named.method.starts_with("gear") ? 64 : 128;
  options.residual = all ? 0 : count(p, "residual");
  options.block = all ? 0 : options.residual;
  options.sinks = named.sinks;
  options.group_span_layer =
      p.text("group_span") == "layer" || named.method.starts_with("kvquant");  // percentiles of the whole token
  return options;
}

/// Bits of KVLinC with adapters.
double matched_bits(const Point& p, kv::View view, const model::Config& config) {
  const std::size_t tokens = count(p, "context");
  return stored_bits("kvlinc", options_of(p, {"kvlinc"}, view), {config.kv_heads, config.head_dim}, tokens, view) +
         state_bits(count(p, "features"), config.head_dim, tokens);
}

/// Options at the bits of KVLinC with adapters where that is asked for.
kv::MethodOptions matched_options(const Point& p, const NamedCache& named, kv::View view, const model::Config& config) {
  kv::MethodOptions options = options_of(p, named, view);
  if (p.text("match") == "none" || named.method == "kvlinc") return options;
  const kv::LayerShape shape{config.kv_heads, config.head_dim};
  const std::size_t tokens = count(p, "context");
  return match_bits(named.method, options, shape, tokens, matched_bits(p, view, config), view);
}

FittedPtr make_rules(const Point& p, Rng) {
  const model::Config& config = (*p.shared<ModelTextPtr>("model_text")).model.config();
  const NamedCache named = parse_cache(p.text("cache"));
  kv::MethodOptions asked;
  asked.group_span_layer = p.text("group_span") == "layer";
  warn_of_groups(asked, {config.kv_heads, config.head_dim});
  warn_of_short(count(p, "context"));
  const kv::View view = kv::parse_view(p.text("view"));
  const kv::LayerShape shape{config.kv_heads, config.head_dim};
  const auto method = kv::make_method(named.method, matched_options(p, named, view, config));
  auto rules = std::make_shared<Fitted>();
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    kv::Calibration calibration;
    if (method->fitted()) {
      const auto& fit = p.shared<CapturedPtr>("calibration")->layers[layer];
      calibration = {fit.k_pre, fit.k, fit.v};
      if (method->wants_gradients()) {
        const auto& squares = p.shared<CapturedPtr>("squares")->layers[layer];
        calibration.k_pre_squares = squares.k_pre, calibration.v_squares = squares.v;
      }
    }
    rules->layers.push_back(method->rules(shape, &calibration));
  }
  const kv::LayerRules& first = rules->layers.front();
  const std::size_t tokens = count(p, "context");
  if (view != kv::View::all)
    rules->open_bits = stored_bits(first, shape, tokens, view) - stored_bits(first, shape, tokens, kv::View::all);
  if (p.text("match") == "bits") rules->matched_bits = matched_bits(p, view, config);
  return rules;
}

using CorrectionsPtr = std::shared_ptr<const kv::Corrections>;

/// Adapters of every head, each trained alone on what the unquantised model makes of the training windows.
CorrectionsPtr make_adapters(const Point& p, Rng rng) {
  const ModelText& text = *p.shared<ModelTextPtr>("model_text");
  const auto& chunks = p.shared<std::vector<CapturedPtr>>("chunks");
  const Captured& check = *p.shared<CapturedPtr>("calibration");
  const model::Config& config = text.model.config();
  const kv::View view = kv::parse_view(p.text("view"));
  const kv::MethodOptions options = options_of(p, {"kvlinc"}, view);
  auto corrections = std::make_shared<kv::Corrections>();
  corrections->kv_heads = config.kv_heads;
  for (std::size_t i = 0; i < config.layers * config.kv_heads; ++i)
    corrections->heads.emplace_back(config.head_dim, count(p, "features"), config.heads / config.kv_heads,
                                    p.real("gain"),
                                    rng.split(fmt::format("{} {}", i / config.kv_heads, i % config.kv_heads)));
  Threads threads(static_cast<std::size_t>(p.threads()));
  threads.parallel_for(corrections->heads.size(), [&](std::size_t i) {
    const std::size_t layer = i / config.kv_heads;
    const auto data = [&](const Captured& window) {
      const auto& own = window.layers[layer];
      const Head head = head_of(text, own, own, i % config.kv_heads, text.context);
      return correction_data(head, seal(head, "kvlinc", options), view);
    };
    std::vector<kv::CorrectionData> training;
    for (const CapturedPtr& chunk : chunks) training.push_back(data(*chunk));
    train(corrections->heads[i], training, data(check), {count(p, "epochs"), p.real("rate")});
  });
  return corrections;
}

}  // namespace

NamedCache parse_cache(const std::string& text) {
  constexpr std::string_view kSinks = ":sinks=";
  const std::size_t place = text.find(kSinks);
  NamedCache named{text.substr(0, place), 0, false};
  if (named.method == kAdapters) named.method = "kvlinc", named.adapters = true;
  if (place == text.npos) return named;
  const std::string number = text.substr(place + kSinks.size());
  if (number.empty() || number.size() > 3 || number.find_first_not_of("0123456789") != number.npos)
    throw_error(ExitCode::usage, "method '{}': sinks must be a number of tokens up to 999", text);
  named.sinks = std::stoul(number);
  return named;
}

Experiment with_caches(Experiment experiment) {
  return experiment.shared("model_text", {}, make_text)
      .shared("calibration", {}, make_calibration)
      .shared("squares", {}, make_squares)
      .shared("chunks", {}, make_chunks)
      .shared("rules", {"cache", "view", "bits"}, make_rules)
      .shared("adapters", {"view", "bits"}, make_adapters);
}

std::function<std::unique_ptr<kv::Policy>()> policy_of(const Point& p) {
  const FittedPtr rules = p.shared<FittedPtr>("rules");
  const model::Rope* rope = &(*p.shared<ModelTextPtr>("model_text")).model.rope();
  if (!parse_cache(p.text("cache")).adapters)
    return [rules, rope] { return std::make_unique<kv::WindowPolicy>(rules->layers, rope); };
  const CorrectionsPtr corrections = p.shared<CorrectionsPtr>("adapters");
  return [rules, rope, corrections] { return std::make_unique<kv::CorrectedPolicy>(rules->layers, rope, corrections); };
}

}  // namespace lowbit::kvlinc
