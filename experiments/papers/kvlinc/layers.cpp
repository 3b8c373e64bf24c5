// Every layer and head of a small model: errors of keys, values and output under all schemes, and the orderings that
// the papers claim, counted.
#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/model_text.hpp"
#include "experiments/papers/kvlinc/tables.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

const std::vector<std::string> kSchemes = {"raw_channel", "had_channel", "had_token", "raw_token"};
// methods measured through their packed cache; group of keys
struct Case {
  const char *name, *method;
  std::size_t group;
};
constexpr Case kMethods[] = {{"kivi", "kivi", 128},         {"quarot", "quarot", 64},
                             {"kvlinc", "kvlinc", 128},     {"had_channel", "had_channel", 128},
                             {"kivi_pre", "kivi_pre", 128}, {"kivi_g64", "kivi", 64},
                             {"gear_l", "gear_l", 64},      {"gear", "gear", 64},
                             {"resq", "resq", 64},          {"kvquant", "kvquant", 128}};

std::vector<std::string> method_list() {
  std::vector<std::string> names;
  for (const Case& c : kMethods) names.emplace_back(c.name);
  return names;
}

ModelTextPtr make_text(const Point& p, Rng) {
  return load_model_text(p, 1);
}

std::shared_ptr<const Captured> make_captured(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  return std::make_shared<const Captured>(
      capture(*p.shared<ModelTextPtr>("model_text"), static_cast<std::size_t>(p.integer("text")), threads));
}

std::shared_ptr<const Captured> make_calibration(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  return std::make_shared<const Captured>(
      capture(*p.shared<ModelTextPtr>("model_text"), static_cast<std::size_t>(p.integer("texts")), threads));
}

model::Config config_of(const Params& params) {
  return model::read_config(model::find_model(params.text("model")));
}

// All numbers of one head.
struct HeadErrors {
  std::vector<double> k, v, k_scale, k_method, v_method, output;
};

HeadErrors errors_of(const Head& head, int bits) {
  HeadErrors e;
  for (const std::string& scheme : kSchemes) {
    const std::size_t group = scheme.ends_with("channel") ? 128 : std::min<std::size_t>(128, head.d);
    const Scheme k = apply_scheme(head.k, scheme, min_format(bits, group)),
                 v = apply_scheme(head.v, scheme, min_format(bits, group));
    e.k.push_back(relative_error(head.k, k.rows));
    e.k_scale.push_back(k.mean_scale);
    e.v.push_back(relative_error(head.v, v.rows));
  }
  const Attention exact = attention(head, head.k, head.v);
  for (const Case& c : kMethods) {
    kv::MethodOptions options;
    options.bits = bits;
    options.group = c.group;
    options.v_group = std::min<std::size_t>(64, head.d);
    const Kept kept = keep(head, c.method, options);
    e.k_method.push_back(relative_error(head.k, kept.k));
    e.v_method.push_back(relative_error(head.v, kept.v));
    e.output.push_back(attention_errors(exact, attention(head, kept.k, kept.v)).output);
  }
  return e;
}

Record compute_layers(const Point& p, Rng) {
  const ModelText& text = *p.shared<ModelTextPtr>("model_text");
  const auto layer = static_cast<std::size_t>(p.integer("layer"));
  const auto& own = p.shared<std::shared_ptr<const Captured>>("captured")->layers[layer];
  const auto& fit = p.shared<std::shared_ptr<const Captured>>("calibration")->layers[layer];
  const auto queries = static_cast<std::size_t>(p.integer("queries"));
  const auto bits = static_cast<int>(p.integer("bits"));
  std::vector<HeadErrors> heads(text.model.config().kv_heads);
  Threads threads(static_cast<std::size_t>(p.threads()));
  threads.parallel_for(heads.size(),
                       [&](std::size_t h) { heads[h] = errors_of(head_of(text, own, fit, h, queries), bits); });
  Record record;
  const auto put = [&](const char* name, std::vector<double> HeadErrors::*part) {
    std::vector<double> all;
    for (const HeadErrors& e : heads) all.insert(all.end(), (e.*part).begin(), (e.*part).end());
    record.set(name, std::move(all));
  };
  put("k_rel_f", &HeadErrors::k);
  put("v_rel_f", &HeadErrors::v);
  put("k_mean_scale", &HeadErrors::k_scale);
  put("k_method_rel_f", &HeadErrors::k_method);
  put("v_method_rel_f", &HeadErrors::v_method);
  put("o_err", &HeadErrors::output);
  return record;
}

/// Values over texts and heads of a layer, and over everything.
class Reader {
 public:
  explicit Reader(const Results& results) : results_(results) {}
  const std::vector<Value>& layers() const { return results_.coordinates("layer"); }
  std::vector<double> layer(const char* output, const Value& layer, const char* dim, const std::string& name) const {
    std::vector<double> values;
    for (const Value& text : results_.coordinates("text"))
      for (const Value& head : results_.coordinates("head"))
        values.push_back(results_.at(output, {{"text", text}, {"layer", layer}, {"head", head}, {dim, name}}));
    return values;
  }
  std::vector<double> all(const char* output, const char* dim, const std::string& name) const {
    std::vector<double> values;
    for (const Value& l : layers())
      for (const double v : layer(output, l, dim, name)) values.push_back(v);
    return values;
  }
  /// Median over texts and heads of each layer.
  std::vector<double> medians(const char* output, const char* dim, const std::string& name) const {
    std::vector<double> values;
    for (const Value& l : layers()) values.push_back(quantile(layer(output, l, dim, name), 0.5));
    return values;
  }

 private:
  const Results& results_;
};

// Share of places where a < b (or a <= b), in percent, with its Wilson interval.
Row share_row(const std::string& quantity, const std::vector<double>& a, const std::vector<double>& b, bool or_equal) {
  double count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += or_equal ? a[i] <= b[i] : a[i] < b[i];
  const auto n = static_cast<double>(a.size());
  const Interval interval = wilson(count, n);
  Row row = sampled_row(quantity, 100 * count / n, {100 * interval.low, 100 * interval.high});
  row.unit = std::string("%");
  row.note = fmt::format("{} of {}", count, n);
  return row;
}

// Median of a over median of b, pairs resampled; judged where the two are apart.
Row medians_ratio_row(const std::string& quantity, const std::vector<double>& a, const std::vector<double>& b,
                      const Results& results) {
  const auto median = [](const std::vector<double>& values, std::span<const std::size_t> picks) {
    std::vector<double> some;
    for (const std::size_t i : picks) some.push_back(values[i]);
    return quantile(some, 0.5);
  };
  const auto statistic = [&](std::span<const std::size_t> picks) { return median(a, picks) / median(b, picks); };
  Row row = sampled_row(quantity, statistic(all_of(a.size())), bootstrap(a.size(), statistic, results.rng(quantity)));
  judge_if_resolved(paired_difference(a, b), row);
  return row;
}

// Bands belong to all layers at 2 bits.
void keep_whole_model(const Results& results, std::vector<Row>& rows) {
  keep_model_runs(results, {{"bits", 2}, {"queries", 256}}, rows);
  const std::size_t layers = config_of(results.params()).layers, own = results.coordinates("layer").size();
  if (own < layers) leave_unjudged(fmt::format("{} of {} layers", own, layers), rows);
}

std::vector<Row> layers_rows(const Results& results) {
  const Reader read(results);
  std::vector<Row> rows;
  const auto k = [&](const char* scheme) { return read.medians("k_rel_f", "scheme", scheme); };
  const auto v = [&](const char* scheme) { return read.medians("v_rel_f", "scheme", scheme); };
  rows.push_back(share_row("layers[K raw_channel < had_token]", k("raw_channel"), k("had_token"), false));
  rows.push_back(share_row("layers[K had_token < raw_token]", k("had_token"), k("raw_token"), false));
  rows.push_back(share_row("layers[V had_token < raw_token]", v("had_token"), v("raw_token"), false));
  rows.push_back(share_row("heads[K raw_channel < raw_token]", read.all("k_rel_f", "scheme", "raw_channel"),
                           read.all("k_rel_f", "scheme", "raw_token"), false));
  std::vector<double> ratio, scale;
  const auto had = read.all("k_rel_f", "scheme", "had_channel"), raw = read.all("k_rel_f", "scheme", "raw_channel");
  const auto had_scale = read.all("k_mean_scale", "scheme", "had_channel"),
             raw_scale = read.all("k_mean_scale", "scheme", "raw_channel");
  for (std::size_t i = 0; i < had.size(); ++i)
    ratio.push_back(had[i] / raw[i]), scale.push_back(had_scale[i] / raw_scale[i]);
  rows.push_back(median_row("median K had_channel / raw_channel", ratio, results.rng("ratio")));
  judge_if_resolved(paired_difference(had, raw), rows.back());
  rows.push_back(median_row("median scale K had_channel / raw_channel", scale, results.rng("scale")));
  judge_if_resolved(paired_difference(had_scale, raw_scale), rows.back());
  for (const Case& c : kMethods) {
    const std::string name = fmt::format("median o_err[method={}]", c.name);
    rows.push_back(median_row(name, read.all("o_err", "cache", c.name), results.rng(name)));
  }
  const auto output = [&](const char* m) { return read.all("o_err", "cache", m); };
  rows.push_back(medians_ratio_row("median o_err kvlinc / kivi", output("kvlinc"), output("kivi"), results));
  rows.push_back(share_row("heads[o_err kvlinc < kivi]", output("kvlinc"), output("kivi"), false));
  rows.push_back(share_row("heads[o_err had_channel < kvlinc]", output("had_channel"), output("kvlinc"), false));
  const auto keys = [&](const char* m) { return read.all("k_method_rel_f", "cache", m); };
  rows.push_back(share_row("heads[K kivi_pre <= kivi]", keys("kivi_pre"), keys("kivi"), true));
  rows.push_back(share_row("heads[K gear_l < kivi_g64]", keys("gear_l"), keys("kivi_g64"), false));
  rows.push_back(share_row("heads[V gear_l < kivi_g64]", read.all("v_method_rel_f", "cache", "gear_l"),
                           read.all("v_method_rel_f", "cache", "kivi_g64"), false));
  std::vector<double> best = keys("kivi");
  for (const Case& c : kMethods)
    if (std::string(c.name) != "kvquant" && std::string(c.name) != "resq")
      for (std::size_t i = 0; const double x : keys(c.name)) best[i] = std::min(best[i], x), ++i;
  rows.push_back(share_row("heads[K kvquant lowest]", keys("kvquant"), best, true));
  for (Row& row : rows)
    row.note = fmt::format("{}{}{} texts of {} tokens, {} bits", row.note, row.note.empty() ? "" : "; ",
                           results.params().integer("texts"), results.params().integer("context"),
                           results.params().integer("bits"));
  keep_whole_model(results, rows);
  return rows;
}

Experiment layers() {
  return with_references(
      with_model(Experiment{"kvlinc/layers"}, 4, 2048)
          .paper(kPaper, "", "Errors of keys, values and output in every layer and head of a small model")
          .param("queries", 256, "last queries that outputs are compared on", between(1, 4096))
          .param("bits", 2, "of the codes", between(2, 8))
          .axis("text", text_numbers, "1", "window of the text")
          .axis(
              "layer", [](const Params& p) { return indices(config_of(p).layers); }, "1", "layer of the model")
          .dim(
              "head", [](const Params& p) { return indices(config_of(p).kv_heads); }, "1", "KV head")
          .dim("scheme", texts(kSchemes), "",
               "raw or rotated; groups of 128 tokens of a channel or 64 channels of a token")
          .dim("cache", texts(method_list()), "", "method without residual window; group 128 (values 64) unless named")
          .draws_vary_with({})
          .shared("model_text", {}, make_text)
          .shared("calibration", {}, make_calibration)
          .shared("captured", {"text"}, make_captured)
          .output("k_rel_f", "1", "||K - K^||_F / ||K||_F of keys after RoPE", {"head", "scheme"})
          .output("v_rel_f", "1", "||V - V^||_F / ||V||_F", {"head", "scheme"})
          .output("k_mean_scale", "1", "mean of the keys' scales", {"head", "scheme"})
          .output("k_method_rel_f", "1", "keys as the method's packed cache gives them", {"head", "cache"})
          .output("v_method_rel_f", "1", "values as the method's packed cache gives them", {"head", "cache"})
          .output("o_err", "1",
                  "||O - O^||_F / ||O||_F of the last queries, through the layer's sliding window if it has one, mean "
                  "over query heads",
                  {"head", "cache"})
          .validate([](const Params& p) {
            if (p.integer("context") < 128)
              throw_error(ExitCode::usage, "--context: {} tokens are less than one group of 128; everything stays open",
                          p.integer("context"));
          })
          .runs_alone()
          .quick("texts=1 context=256 layer=0,15,29 queries=64")
          .full("texts=8")
          .cost(160)
          .point(compute_layers)
          .rows(layers_rows));
}
LOWBIT_REGISTER(layers);

}  // namespace
}  // namespace lowbit
