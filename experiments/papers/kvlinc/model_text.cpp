#include "experiments/papers/kvlinc/model_text.hpp"

#include "experiments/core/model_param.hpp"
#include "formats/error.hpp"
#include "sim/model/backward.hpp"
#include "sim/model/tokens.hpp"

namespace lowbit::kvlinc {
namespace {

constexpr const char* kPersuasion = "persuasion";

std::string tokens_path(const std::string& tokens) {
  if (tokens != kPersuasion) return tokens;
  return std::string(LOWBIT_SOURCE_DIR) + "/results/reference/persuasion_tokens.npy";
}

Matrix head_columns(const Matrix& rows, std::size_t head, std::size_t d, std::size_t last) {
  Matrix out(last, d);
  model::copy_rows(rows.view().slice(rows.rows() - last, last).part(head * d, d), out);
  return out;
}

}  // namespace

Experiment with_model(Experiment experiment, std::int64_t texts, std::int64_t context) {
  return experiment
      .param("model", kDefaultModel, kModelHelp, input_path())
      .param("tokens", kPersuasion, "text: a .npy of token numbers, or persuasion (Jane Austen, 1818)", input_path())
      .param("texts", texts, "windows of the text, from its beginning, without overlap", between(1, 10000))
      .param("context", context, "tokens of a window", between(16, 1 << 17))
      .unavailable_when(model_missing);
}

ModelTextPtr load_model_text(const Point& point, std::size_t extra) {
  Threads threads(static_cast<std::size_t>(point.threads()));
  const auto context = static_cast<std::size_t>(point.integer("context"));
  const std::size_t windows = static_cast<std::size_t>(point.integer("texts")) + extra;
  auto model = model::Model::load(point.text("model"), threads);
  if (context > model.config().context)
    throw_error(ExitCode::usage, "--context: {} tokens; the model sees at most {}", context, model.config().context);
  auto tokens = model::read_tokens(tokens_path(point.text("tokens")), model.config().vocabulary);
  if (tokens.size() < windows * context)
    throw_error(ExitCode::bad_data, "'{}' has {} tokens; {} windows of {} ({} of them for calibration) need {}",
                point.text("tokens"), tokens.size(), windows, context, extra, windows * context);
  tokens.resize(windows * context);
  return std::make_shared<const ModelText>(ModelText{std::move(model), std::move(tokens), context});
}

Values text_numbers(const Params& params) {
  return indices(static_cast<std::size_t>(params.integer("texts")));
}

Captured capture(const ModelText& text, std::size_t window, Threads& threads) {
  model::Hooks hooks(text.model);
  Captured captured;
  captured.layers.resize(text.model.config().layers);
  const auto observe = [&](const char* site, Matrix Captured::Layer::*place) {
    hooks.observe(fmt::format("model.layers.*.self_attn.{}", site),
                  [&captured, place](const model::Tensor& t, ConstRows rows) {
                    Matrix& out = captured.layers[static_cast<std::size_t>(t.site.layer)].*place;
                    out.resize(rows.rows, rows.columns);
                    model::copy_rows(rows, out);
                  });
  };
  observe("q", &Captured::Layer::q);
  observe("k_pre", &Captured::Layer::k_pre);
  observe("k", &Captured::Layer::k);
  observe("v", &Captured::Layer::v);
  for (std::size_t i = 0; i < captured.layers.size(); ++i)
    captured.layers[i].window = static_cast<std::size_t>(text.model.config().window[i]);
  const model::TokenSpan span{text.window(window), nullptr};
  model::forward(hooks, {&span, 1}, threads);
  return captured;
}

namespace {

/// Notes the squares of the gradients that come back to a tensor; changes nothing.
class SquaredGradients : public model::TensorMap {
 public:
  SquaredGradients(Captured& captured, Matrix Captured::Layer::*place) : captured_(captured), place_(place) {}
  void apply(const model::Tensor&, Rows) override {}
  void backward(const model::Tensor& t, Rows gradient) override {
    Matrix& out = captured_.layers[static_cast<std::size_t>(t.site.layer)].*place_;
    out.resize(gradient.rows, gradient.columns);
    for (std::size_t i = 0; i < gradient.rows; ++i)
      for (std::size_t c = 0; c < gradient.columns; ++c) out.view().row(i)[c] = gradient.row(i)[c] * gradient.row(i)[c];
  }

 private:
  Captured& captured_;
  Matrix Captured::Layer::*place_;
};

}  // namespace

Captured capture_squares(const ModelText& text, std::size_t window, Threads& threads) {
  model::Hooks hooks(text.model);
  Captured captured;
  captured.layers.resize(text.model.config().layers);
  hooks.replace("model.layers.*.self_attn.k_pre",
                std::make_shared<SquaredGradients>(captured, &Captured::Layer::k_pre));
  hooks.replace("model.layers.*.self_attn.v", std::make_shared<SquaredGradients>(captured, &Captured::Layer::v));
  const model::TokenSpan span{text.window(window), nullptr};
  model::backward(hooks, {&span, 1}, threads);
  return captured;
}

Head head_of(const ModelText& text, const Captured::Layer& layer, const Captured::Layer& fit, std::size_t kv_head,
             std::size_t queries) {
  const model::Config& config = text.model.config();
  const std::size_t d = config.head_dim, group = config.heads / config.kv_heads, tokens = layer.k.rows();
  Head head;
  head.d = d;
  head.rope = std::make_shared<const model::Rope>(text.model.rope());
  head.window = layer.window;
  head.k_pre = head_columns(layer.k_pre, kv_head, d, tokens);
  head.k = head_columns(layer.k, kv_head, d, tokens);
  head.v = head_columns(layer.v, kv_head, d, tokens);
  for (std::size_t g = 0; g < group; ++g)
    head.q.push_back(head_columns(layer.q, kv_head * group + g, d, std::min(queries, tokens)));
  head.fit_k_pre = head_columns(fit.k_pre, kv_head, d, fit.k.rows());
  head.fit_k = head_columns(fit.k, kv_head, d, fit.k.rows());
  head.fit_v = head_columns(fit.v, kv_head, d, fit.k.rows());
  return head;
}

}  // namespace lowbit::kvlinc
