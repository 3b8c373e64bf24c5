// F6: linear correction adapters, trained head by head on one part of a text and measured on another.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/kvlinc/match.hpp"
#include "experiments/papers/kvlinc/tables.hpp"
#include "experiments/papers/kvlinc/training.hpp"
#include "formats/error.hpp"
#include "formats/random.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

struct Texts {
  ModelTextPtr text;
  std::vector<Captured> windows;  ///< evaluation, validation, then training
};
using TextsPtr = std::shared_ptr<const Texts>;

std::size_t count(const Point& p, const char* name) {
  return static_cast<std::size_t>(p.integer(name));
}

TextsPtr make_texts(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  auto texts = std::make_shared<Texts>();
  texts->text = load_model_text(p, 1 + count(p, "chunks"));
  refuse_windows(texts->text->model.config());
  for (std::size_t w = 0; w < count(p, "texts") + 1 + count(p, "chunks"); ++w)
    texts->windows.push_back(capture(*texts->text, w, threads));
  return texts;
}

struct Trained {
  double plain = 0, corrected = 0, kivi = 0, kivi_bits = 0, bits = 0;
  std::vector<double> validation, parameters;
};

Trained run_head(const Point& p, const Texts& texts, std::size_t layer, std::size_t kv_head, Rng rng) {
  const std::size_t evaluated = count(p, "texts"), features = count(p, "features");
  kv::MethodOptions options;
  options.residual = count(p, "residual");
  const auto head = [&](std::size_t window) {
    const auto& own = texts.windows[window].layers[layer];
    return head_of(*texts.text, own, own, kv_head, texts.text->context);
  };
  std::vector<kv::CorrectionData> chunks;
  for (std::size_t w = evaluated + 1; w < texts.windows.size(); ++w) {
    const Head h = head(w);
    chunks.push_back(correction_data(h, seal(h, "kvlinc", options), kv::View::decode));
  }
  const Head check = head(evaluated);
  Trained out;
  const std::size_t d = check.d;
  kv::Correction correction(d, features, check.q.size(), p.real("gain"),
                            rng.split(fmt::format("{} {}", layer, kv_head)));
  out.validation = train(correction, chunks, correction_data(check, seal(check, "kvlinc", options), kv::View::decode),
                         {count(p, "epochs"), p.real("rate")});
  out.parameters = correction.parameters();
  const kv::LayerShape shape{1, d};
  warn_of_groups(options, shape);
  const std::size_t tokens = check.tokens();
  const auto view = kv::View::decode;
  out.bits = stored_bits("kvlinc", options, shape, tokens, view) + state_bits(features, d, tokens);
  const kv::MethodOptions matched = match_bits("kivi", options, shape, tokens, out.bits, view);
  out.kivi_bits = stored_bits("kivi", matched, shape, tokens, view);
  for (std::size_t w = 0; w < evaluated; ++w) {
    const Head h = head(w);
    const Sealed sealed = seal(h, "kvlinc", options);
    const auto data = correction_data(h, sealed, kv::View::decode);
    const auto y = correction.outputs(data);
    const auto part = 1 / static_cast<double>(evaluated);
    out.plain += part * output_error(data, nullptr);
    out.corrected += part * output_error(data, &y);
    const Sealed nearest = seal(h, "kivi", matched);
    out.kivi += part * output_error(correction_data(h, nearest, kv::View::decode), nullptr);
  }
  return out;
}

// Content of `windows` windows from number `first` on: the upper 52 bits, which a number holds exactly, of the FNV-1a
// 64 hash of their token numbers (int32, little endian).
double content_hash(const ModelText& text, std::size_t first, std::size_t windows) {
  const auto tokens = std::span(text.tokens).subspan(first * text.context, windows * text.context);
  return static_cast<double>(
      stream_of({reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof tokens[0]}) >> 12);
}

// On stderr alone: seconds are no function of the settings.
void say_time(const Point& p, std::size_t heads, std::chrono::steady_clock::time_point begin) {
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  fmt::print(stderr, "adapters: {}: {} heads, {} steps each and their measurement: {:.1f} s\n", p.describe(), heads,
             p.integer("epochs") * p.integer("chunks"), seconds.count());
}

Record compute_adapters(const Point& p, Rng rng) {
  const Texts& texts = *p.shared<TextsPtr>("captured");
  const auto layer = count(p, "layer");
  std::vector<Trained> heads(texts.text->model.config().kv_heads);
  const auto begin = std::chrono::steady_clock::now();
  Threads threads(static_cast<std::size_t>(p.threads()));
  threads.parallel_for(heads.size(), [&](std::size_t h) { heads[h] = run_head(p, texts, layer, h, rng); });
  say_time(p, heads.size(), begin);
  Record record;
  const auto put = [&](const char* name, double Trained::*field) {
    std::vector<double> values;
    for (const Trained& t : heads) values.push_back(t.*field);
    record.set(name, values);
  };
  put("o_err_plain", &Trained::plain);
  put("o_err_corrected", &Trained::corrected);
  put("o_err_kivi", &Trained::kivi);
  put("bits_corrected", &Trained::bits);
  put("bits_kivi", &Trained::kivi_bits);
  std::vector<double> curve, parameters;
  const std::size_t widest = p.coordinates("parameter").size();
  for (Trained& t : heads) {
    curve.insert(curve.end(), t.validation.begin(), t.validation.end());
    t.parameters.resize(widest, std::nan(""));
    parameters.insert(parameters.end(), t.parameters.begin(), t.parameters.end());
  }
  const std::size_t evaluated = count(p, "texts");
  record.set("content_hash", {content_hash(*texts.text, 0, evaluated), content_hash(*texts.text, evaluated, 1),
                              content_hash(*texts.text, evaluated + 1, count(p, "chunks"))});
  return record.set("validation_loss", curve).set("parameters", parameters);
}

/// One setting of the sweep, over all layers and heads.
struct Outcome {
  std::vector<double> plain, corrected, kivi, ratio;
  double bits = 0, kivi_bits = 0;

  Outcome(const Results& results, Coordinates where) {
    for (const Value& layer : results.coordinates("layer"))
      for (const Value& head : results.coordinates("head")) {
        Coordinates place = where;
        place.emplace_back("layer", layer);
        place.emplace_back("head", head);
        const double own = results.at("o_err_corrected", place);
        if (std::isnan(own)) continue;  // features beyond `widest`
        plain.push_back(results.at("o_err_plain", place));
        corrected.push_back(own);
        kivi.push_back(results.at("o_err_kivi", place));
        ratio.push_back(own / plain.back());
        bits = results.at("bits_corrected", place), kivi_bits = results.at("bits_kivi", place);
      }
  }
};

void add_rows(const Results& results, const Outcome& outcome, const std::string& tail, std::vector<Row>& rows) {
  double better = 0, better_kivi = 0;
  for (std::size_t i = 0; i < outcome.plain.size(); ++i)
    better += outcome.corrected[i] <= outcome.plain[i], better_kivi += outcome.corrected[i] < outcome.kivi[i];
  const auto share = [&](const std::string& name, double hits) {
    const auto n = static_cast<double>(outcome.plain.size());
    const Interval i = wilson(hits, n);
    Row row = sampled_row(name + tail, 100 * hits / n, {100 * i.low, 100 * i.high});
    row.unit = std::string("%");
    const bool equal = std::abs(outcome.bits - outcome.kivi_bits) <= kMatchedBits;
    row.note = fmt::format("{} of {} heads; {:.2f} bits with states, KIVI {:.2f}{}; {} steps", hits, n, outcome.bits,
                           outcome.kivi_bits, equal ? "" : " (no choice of G comes nearer: not equal)",
                           results.params().integer("epochs") * results.params().integer("chunks"));
    rows.push_back(row);
  };
  share("heads[o_err corrected <= plain]", better);
  share("heads[o_err corrected < kivi of equal bits]", better_kivi);
  rows.push_back(median_row("median o_err corrected / plain" + tail, outcome.ratio, results.rng("ratio" + tail)));
}

model::Config config_of(const Params& params) {
  return model::read_config(model::find_model(params.text("model")));
}

// The band is that of the gain and rate that were chosen beforehand; its rows are named by D alone.
constexpr double kBandGain = 0.1, kBandRate = 0.01;

// The text that the adapters were trained on, by content.
void add_data(const Results& results, std::vector<Row>& rows) {
  const Params& p = results.params();
  rows.push_back(exact_row("tokens trained on", static_cast<double>(p.integer("chunks") * p.integer("context"))));
  const Coordinates first{{"features", results.coordinates("features").front()},
                          {"gain", results.coordinates("gain").front()},
                          {"rate", results.coordinates("rate").front()},
                          {"layer", results.coordinates("layer").front()}};
  for (const char* part : {"training", "validation", "evaluation"}) {
    Coordinates where = first;
    where.emplace_back("part", part);
    const double hash = results.at("content_hash", where);
    if (!std::isnan(hash))
      rows.back().note += fmt::format("{}{} {:013x}", rows.back().note.empty() ? "content hashes: " : ", ", part,
                                      static_cast<std::uint64_t>(hash));
  }
}

std::vector<Row> adapters_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Value& features : results.coordinates("features"))
    for (const Value& gain : results.coordinates("gain"))
      for (const Value& rate : results.coordinates("rate")) {
        const Outcome outcome(results, {{"features", features}, {"gain", gain}, {"rate", rate}});
        if (outcome.plain.empty()) continue;
        const bool band = gain.real() == kBandGain && rate.real() == kBandRate;
        add_rows(results, outcome,
                 band ? fmt::format("[features={}]", features.integer())
                      : fmt::format("[features={},gain={},rate={}]", features.integer(), gain.real(), rate.real()),
                 rows);
      }
  const model::Config config = config_of(results.params());
  add_group_row({}, {1, config.head_dim}, rows);
  add_data(results, rows);
  std::vector<BandSetting> settings{{"model", "smollm2-135m"}, {"tokens", "persuasion"}, {"texts", 1, true},
                                    {"context", 1024, true},   {"chunks", 2, true},      {"epochs", 30, true},
                                    {"residual", 128}};
  keep_band_runs(results, settings, rows);
  return rows;
}

Values layer_numbers(const Params& p) {
  const auto layers = static_cast<std::int64_t>(config_of(p).layers);
  if (p.text("layers") == "all") return indices(static_cast<std::size_t>(layers));
  std::vector<std::int64_t> some{0, layers / 2, layers - 1};
  some.erase(std::unique(some.begin(), some.end()), some.end());  // of models with one or two layers
  return integers(std::move(some));
}

// Room for the adapters of 256 features; smaller ones are padded with NaN.
Values parameter_numbers(const Params& p) {
  const model::Config c = config_of(p);
  const auto widest = static_cast<std::size_t>(p.integer("widest"));
  return indices(c.head_dim * widest / 2 * (1 + c.heads / c.kv_heads) + c.heads / c.kv_heads);
}

Values positive(std::vector<double> list) {
  Values values = numbers(std::move(list));
  values.domain = between(1e-9, 10);
  return values;
}

void check_features(std::int64_t features, std::int64_t widest) {
  if (features % 2 != 0) throw_error(ExitCode::usage, "--features: {}; even numbers are expected", features);
  if (features > widest)
    throw_error(ExitCode::usage, "--features: {}, but there is room for {}: --widest {} makes more", features, widest,
                features);
}

Experiment adapters() {
  return with_references(
      with_model(Experiment{"kvlinc/adapters"}, 1, 1024)
          .paper(kPaper, "F6", "Linear correction adapters, trained on one part of a text, measured on another")
          .param("chunks", 2, "windows of the text to train on, after those that are evaluated and one for validation",
                 between(1, 1000))
          .param("epochs", 30, "passes over the chunks, a step a chunk", between(1, 100000))
          .param("residual", 128, "tokens that stay open; a multiple of 128", between(128, 4096))
          .param("layers", "some", "some: first, middle and last; all", one_of({"some", "all"}))
          .param("widest", 64, "largest D of the run: room for the parameters that are stored", between(2, 1024))
          .axis("features", bounded({32, 64}, 2, 1024), "1", "D, features of the correction; even")
          .axis("gain", positive({0.1, 0.001}), "1",
                "of the correction at the start: weight of its features beside those of attention")
          .axis("rate", positive({0.01, 0.001}), "1",
                "of AdamW at the start; a tenth whenever ten epochs bring nothing")
          .axis("layer", layer_numbers, "1", "layer of the model")
          .dim(
              "head", [](const Params& p) { return indices(config_of(p).kv_heads); }, "1", "KV head")
          .dim(
              "epoch", [](const Params& p) { return indices(static_cast<std::size_t>(p.integer("epochs")) + 1); }, "1",
              "passes over the training text")
          .dim("parameter", parameter_numbers, "1",
               "phi_k (channels x D/2), then for each query head phi_q and the logarithm of its gain")
          .dim("part", texts({"evaluation", "validation", "training"}), "", "windows of the text")
          .draws_vary_with({"layer"})
          .shared("captured", {}, make_texts)
          .output("o_err_plain", "1",
                  "||O - O^||_F / ||O||_F of the quantiser in the decode view, queries that see sealed slots", {"head"})
          .output("o_err_corrected", "1", "the same with adapters", {"head"})
          .output("o_err_kivi", "1", "the same of KIVI with the groups whose bits come nearest", {"head"})
          .output("bits_corrected", "bit", "stored bits a value, states included", {"head"})
          .output("bits_kivi", "bit", "stored bits a value of that KIVI", {"head"})
          .output("validation_loss", "1", "1000 mean squared error of the output on the window for validation",
                  {"head", "epoch"})
          .output("content_hash", "1",
                  "of the tokens of the windows: upper 52 bits of the FNV-1a 64 hash of their numbers (int32, little "
                  "endian)",
                  {"part"})
          .narrow_output("parameters", "1", "of the lowest validation loss", {"head", "parameter"})
          .validate([](const Params& p) {
            kv::Window{kv::Window::Kind::filled, static_cast<std::size_t>(p.integer("residual")), 0}.check(
                128, "--residual");
            if (p.integer("context") < 2 * p.integer("residual"))
              throw_error(ExitCode::usage,
                          "--context: {} tokens; at least two residual windows ({}) are needed for a sealed block",
                          p.integer("context"), 2 * p.integer("residual"));
          })
          .where([](const Point& p) {
            check_features(p.integer("features"), p.integer("widest"));
            return true;
          })
          .runs_alone()
          .quick("context=384 chunks=1 epochs=2 features=8 gain=0.1 rate=0.01 widest=8")
          .full("layers=all chunks=8 epochs=30 texts=2 widest=256 features=32,64,128,256 gain=0.1,0.001 rate=0.01")
          .cost(70)
          .point(compute_adapters)
          .rows(adapters_rows));
}
LOWBIT_REGISTER(adapters);

}  // namespace
}  // namespace lowbit
