// W4A4 on a small language model: perplexity and KL divergence from the model as it is.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "experiments/core/bootstrap.hpp"
#include "experiments/core/model_param.hpp"
#include "experiments/papers/mr_gptq/common.hpp"
#include "experiments/papers/mr_gptq/model_recipe.hpp"
#include "formats/error.hpp"
#include "sim/model/compare.hpp"
#include "sim/model/forward.hpp"
#include "sim/model/tokens.hpp"

namespace lowbit {
namespace {
using namespace mr_gptq;
using model::Hooks;
using SharedHooks = std::shared_ptr<const Hooks>;

constexpr const char* kPersuasion = "persuasion";

std::string token_path(const std::string& tokens) {
  return tokens == kPersuasion ? std::string(LOWBIT_SOURCE_DIR) + "/results/reference/persuasion_tokens.npy" : tokens;
}

/// The model, and the tokens of its text: evaluation from the beginning, calibration from the end.
struct Loaded {
  model::Model model;
  std::vector<std::int32_t> tokens;
  std::size_t context, calibration;
  std::span<const std::int32_t> window(std::size_t i) const { return std::span(tokens).subspan(i * context, context); }
  std::vector<std::span<const std::int32_t>> calibration_texts() const {
    const auto last = std::span(tokens).last(calibration);
    std::vector<std::span<const std::int32_t>> texts;
    for (std::size_t first = 0; first < last.size(); first += context)
      texts.push_back(last.subspan(first, std::min(context, last.size() - first)));
    return texts;
  }
};
using SharedModel = std::shared_ptr<const Loaded>;

SharedModel load(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const auto context = static_cast<std::size_t>(p.integer("context"));
  const auto calibration = static_cast<std::size_t>(p.integer("calibration"));
  const auto windows = static_cast<std::size_t>(p.integer("windows"));
  auto m = model::Model::load(p.text("model"), threads);
  auto tokens = model::read_tokens(token_path(p.text("tokens")), m.config().vocabulary);
  if (tokens.size() < calibration + windows * context)
    throw_error(ExitCode::bad_data, "'{}': {} tokens, {} for calibration and {} x {} for evaluation are needed",
                p.text("tokens"), tokens.size(), calibration, windows, context);
  return std::make_shared<const Loaded>(Loaded{std::move(m), std::move(tokens), context, calibration});
}

SharedHooks make_quantised(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const auto& m = *p.shared<SharedModel>("loaded");
  return quantise(m.model, p.text("format"), p.text("method"), m.calibration_texts(), threads);
}

/// consume(first row, logits) for the pieces of one window.
void each_logits(const Hooks& hooks, std::span<const std::int32_t> window, Threads& threads,
                 const std::function<void(std::size_t, model::Rows)>& consume) {
  const model::TokenSpan span{window, nullptr};
  model::for_each_logits(hooks, model::forward(hooks, {&span, 1}, threads), threads, consume);
}

std::vector<float> make_reference(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const auto& m = *p.shared<SharedModel>("loaded");
  const auto window = m.window(static_cast<std::size_t>(p.integer("window")));
  std::vector<float> all;
  each_logits(Hooks(m.model), window, threads, [&](std::size_t, model::Rows rows) {
    all.reserve(window.size() * rows.columns);
    all.insert(all.end(), rows.data, rows.data + rows.rows * rows.columns);
  });
  return all;
}

Record compute(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const auto& m = *p.shared<SharedModel>("loaded");
  const auto& reference = p.shared<std::vector<float>>("reference");
  const auto window = m.window(static_cast<std::size_t>(p.integer("window")));
  std::vector<model::TokenComparison> tokens(window.size() - 1);  // the last token predicts nothing
  each_logits(*p.shared<SharedHooks>("quantised"), window, threads, [&](std::size_t first, model::Rows rows) {
    const std::size_t last = std::min(first + rows.rows, tokens.size());
    threads.parallel_for(last - first, [&](std::size_t i) {
      const std::size_t t = first + i;
      tokens[t] = model::compare_logits(&reference[t * rows.columns], rows.row(i), rows.columns, window[t + 1]);
    });
  });
  double loss = 0, reference_loss = 0, kl = 0, same = 0;
  for (const auto& t : tokens) loss += t.loss, reference_loss += t.reference_loss, kl += t.kl_full, same += t.same_top;
  const double n = static_cast<double>(tokens.size());
  return {{"loss", loss / n}, {"reference_loss", reference_loss / n}, {"kl", kl / n}, {"same_top", same / n}};
}

const std::vector<std::string> kFormats{"nvfp4:like=fp_quant", "mxfp4:like=fp_quant", "int4:g32"};
const std::vector<std::string> kMethods{"rtn", "rtn+had:G", "gptq", "mr_gptq+had:G", "smoothquant", "quarot"};

std::string canonical_format(const std::string& text) {
  return weights::OperandFormat::parse(text).name();
}
std::string canonical_method(const std::string& text) {
  parse_recipe(text);
  return text;
}

/// SmoothQuant and QuaRot are baselines of the two FP4 formats.
bool applies(const Point& p) {
  const bool baseline = p.text("method") == "smoothquant" || p.text("method") == "quarot";
  return !baseline || p.text("format").find("like=fp_quant") != std::string::npos;
}

std::vector<double> losses(const Results& r, const std::string& format, const std::string& method) {
  return r.along("loss", "window", {{"format", format}, {"method", method}});
}

/// Standard error of a mean of window values.
std::string error_note(const std::vector<double>& values) {
  double square = 0;
  for (const double v : values) square += (v - mean(values)) * (v - mean(values));
  const double n = static_cast<double>(values.size());
  return n < 2 ? "one window" : fmt::format("s.e. {:.2g} over {} windows", std::sqrt(square / (n - 1) / n), n);
}

Row mean_row(const Results& r, std::string quantity, const std::vector<double>& values, const std::string& note) {
  const Interval interval = bootstrap_mean(values, r.rng(quantity));
  return sampled_row(std::move(quantity), mean(values), interval, note + error_note(values));
}

/// exp of a mean of window losses (or of paired differences of them).
Row exponential_row(const Results& r, std::string quantity, const std::vector<double>& values,
                    const std::string& note) {
  const Interval i = bootstrap_mean(values, r.rng(quantity));
  return sampled_row(std::move(quantity), std::exp(mean(values)), {std::exp(i.low), std::exp(i.high)},
                     fmt::format("{}; of its log: {}", note, error_note(values)));
}

std::vector<double> difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) all.push_back(a[i] - b[i]);
  return all;
}

Row ratio_row(const Results& r, std::string quantity, const std::string& format, const std::string& method,
              const std::string& other_format, const std::string& other_method) {
  return exponential_row(r, std::move(quantity),
                         difference(losses(r, format, method), losses(r, other_format, other_method)),
                         "ratio of perplexities, paired over windows");
}

std::string cell(const char* what, const std::string& format, const std::string& method) {
  return fmt::format("{}[format={},method={}]", what, format, method);
}

/// Perplexity, KL and what the loss has gained, with paired errors, of one format and method.
void add_cell(const Results& r, const std::string& format, const std::string& method, std::vector<Row>& rows) {
  const auto values = losses(r, format, method);
  if (values.empty() || std::isnan(values.front())) return;
  const Coordinates at{{"format", format}, {"method", method}};
  rows.push_back(exponential_row(r, cell("perplexity", format, method), values, weights_note(r.params())));
  rows.push_back(mean_row(r, cell("kl", format, method), r.along("kl", "window", at), "nats; "));
  rows.push_back(mean_row(r, cell("loss_increase", format, method),
                          difference(values, r.along("reference_loss", "window", at)), "nats; paired, "));
  if (method != "rtn" && !losses(r, format, "rtn").empty())
    rows.push_back(ratio_row(r, cell("perplexity_over_rtn", format, method), format, method, format, "rtn"));
}

std::vector<Row> rows_of(const Results& r) {
  std::vector<Row> rows;
  for (const Value& format : r.coordinates("format"))
    for (const Value& method : r.coordinates("method")) add_cell(r, format.text(), method.text(), rows);
  const std::string nv = kFormats[0], mx = kFormats[1];
  rows.push_back(
      exponential_row(r, "perplexity[reference]",
                      r.along("reference_loss", "window",
                              {{"format", r.coordinates("format")[0]}, {"method", r.coordinates("method")[0]}}),
                      "the model as it is"));
  rows.push_back(ratio_row(r, "nvfp4_over_mxfp4[method=rtn]", nv, "rtn", mx, "rtn"));
  rows.push_back(ratio_row(r, "rotated_over_plain[format=mxfp4,method=rtn]", mx, "rtn+had:G", mx, "rtn"));
  rows.push_back(ratio_row(r, "rotated_over_plain[format=mxfp4,method=gptq]", mx, "mr_gptq+had:G", mx, "gptq"));
  rows.push_back(ratio_row(r, "rotated_over_plain[format=nvfp4,method=rtn]", nv, "rtn+had:G", nv, "rtn"));
  rows.push_back(ratio_row(r, "nvint4_rotated_over_nvfp4", "nvint4", "rtn+had:G", nv, "rtn"));
  return rows;
}

/// Mean accuracy of the paper's first table, Llama-3.1-8B-Instruct (unquantised 78.93): for the order alone.
ReferenceTable accuracy() {
  return {
      "accuracy_percent",
      "arXiv:2509.23202, table 1, Llama-3.1-8B-Instruct, mean of MMLU-CoT, GSM8K, HellaSwag, WinoGrande (order only)",
      {{"format",
        {"int4:g32", "int4:g32", "int4:g32", "nvfp4", "nvfp4", "nvfp4", "nvfp4", "nvfp4", "nvfp4", "mxfp4", "mxfp4",
         "mxfp4", "mxfp4", "mxfp4", "mxfp4"}},
       {"method",
        {"rtn", "rtn+had:G", "gptq", "rtn", "rtn+had:G", "smoothquant", "quarot", "gptq", "mr_gptq+had:G", "rtn",
         "rtn+had:G", "smoothquant", "quarot", "gptq", "mr_gptq+had:G"}},
       {"accuracy",
        {73.11, 74.75, 73.21, 74.73, 74.05, 75.70, 74.10, 75.72, 75.84, 69.32, 70.45, 70.30, 62.90, 70.62, 73.65}}}};
}

/// Recovery of the paper's table with real kernels, Llama-3.1-8B-Instruct: other models, for the order alone.
ReferenceTable recovery() {
  return {"recovery_percent",
          "arXiv:2509.23202, recovery with real kernels, Llama-3.1-8B-Instruct (order only)",
          {{"format", {"nvfp4", "nvfp4", "nvfp4", "nvfp4", "mxfp4", "mxfp4", "mxfp4", "mxfp4"}},
           {"method", {"rtn", "rtn+had:G", "gptq", "mr_gptq+had:G", "rtn", "rtn+had:G", "gptq", "mr_gptq+had:G"}},
           {"recovery", {94.8, 93.8, 95.7, 95.8, 88.1, 89.3, 89.7, 93.3}}}};
}

Experiment perplexity() {
  Experiment e =
      declare("perplexity", "main tables", "W4A4 on a small language model: perplexity and KL by format and method");
  e.param("model", kDefaultModel, kModelHelp, input_path())
      .param("tokens", kPersuasion, "text: a .npy of token numbers, or persuasion; calibration is its end",
             input_path())
      .param("calibration", 4096, "calibration tokens, the last of the text", at_least(512))
      .param("windows", 8, "evaluation windows, from the beginning of the text", between(1, 100000))
      .param("context", 512, "tokens of a window", between(2, 1 << 20))
      .axis("format", texts(kFormats, checked(canonical_format)), "",
            "of weights and inputs of all linear layers but lm_head; mxfp4_dagger: 256 scale levels")
      .axis("method", texts(kMethods, checked(canonical_method)), "",
            "METHOD, METHOD+had:SIZE (block Hadamard, G: the group), or quarot")
      .axis(
          "window", [](const Params& p) { return indices(static_cast<std::size_t>(p.integer("windows"))); }, "1",
          "window of the text")
      .where(applies)
      .shared("loaded", {}, load)
      .shared("quantised", {"format", "method"}, make_quantised)
      .shared("reference", {"window"}, make_reference)
      .output("loss", "nat", "-log of the probability of the token that follows, mean over tokens")
      .output("reference_loss", "nat", "the same of the unquantised model")
      .output("kl", "nat", "KL(reference || quantised) over the vocabulary, mean over tokens")
      .output("same_top", "1", "share of tokens where the likeliest next token is the same")
      .unavailable_when(model_missing)
      .quick("calibration=512 windows=1 context=64 format=nvfp4:like=fp_quant method=rtn")
      .full(
          "calibration=16384 windows=32 "
          "format=nvfp4:like=fp_quant,mxfp4:like=fp_quant,int4:g32,mxfp4,mxfp4_dagger,nvint4,mxint4 "
          "method=rtn,rtn+had:G,gptq,mr_gptq+had:G,smoothquant,quarot,rtn+had:16,rtn+had:32,rtn+had:64,rtn+had:128,mr_"
          "gptq+had:16,"
          "mr_gptq+had:32,mr_gptq+had:64,mr_gptq+had:128")
      .cost(400)
      .runs_alone()
      .point(compute)
      .reference_table(accuracy())
      .reference_table(recovery())
      .rows(rows_of);
  const char* source = "arXiv:2509.23202, main tables (other models: the order)";
  e.reference(within("nvfp4_over_mxfp4[method=rtn]", {}, {0, 1}, source));
  e.reference(within("rotated_over_plain[format=mxfp4,method=rtn]", {}, {0, 1}, source));
  e.reference(within("rotated_over_plain[format=mxfp4,method=gptq]", {}, {0, 1}, source));
  e.reference(
      within("rotated_over_plain[format=nvfp4,method=rtn]", {}, {.98, 1e9}, source, "not below by more than 2 %"));
  e.reference(within("nvint4_rotated_over_nvfp4", {}, {0, 1}, source, "runs under --full"));
  return e;
}
LOWBIT_REGISTER(perplexity);

}  // namespace
}  // namespace lowbit
