#include "sim/model/backward.hpp"

#include <algorithm>
#include <cmath>

#include "formats/error.hpp"
#include "sim/model/loss.hpp"
#include "sim/model/math.hpp"
#include "sim/model/product.hpp"
#include "sim/model/site_actions.hpp"

namespace lowbit::model {
namespace {

class BackwardPass {
 public:
  BackwardPass(const Hooks& hooks, const Tape& tape, Threads& threads);
  /// Loss and d loss / d(output of the final norm).
  std::vector<double> head(std::span<const std::int32_t> tokens);
  void layers();

 private:
  void layer(int index);
  void mlp_half(int index);
  void attention_half(int index);
  void head_norm(int index, NormParameter which, ConstRows raw, Rows gradient);
  void linear(int index, Linear which, Rows dy, ConstRows input, Rows dx, bool add);
  ConstRows normalised(const Matrix& kept, ConstRows before, std::size_t gain);
  ConstRows activation(const Tape::Layer& kept);
  void weight_gradient(std::size_t site, ConstRows dy, ConstRows x);
  void maps(std::size_t site, Rows gradient) { act_backward(hooks_, site, tape_.sequences, threads_, gradient); }
  void act_at(std::size_t site, Rows rows) { act(hooks_, site, tape_.sequences, threads_, rows); }
  const Tape::Layer& kept(int index) const { return tape_.layers[static_cast<std::size_t>(index)]; }

  const Hooks& hooks_;
  const Model& model_;
  const SiteTable& sites_;
  const Tape& tape_;
  Threads& threads_;
  Matrix d_;                        // gradient of the residual stream
  Matrix normalised_, activation_;  // recomputed inputs of linear layers
  Matrix dx_, scratch_, dq_, dk_, dv_, dwide_, dgate_, dup_;
  Matrix dw_;  // one buffer for all weights: new memory costs as much as the product
};

BackwardPass::BackwardPass(const Hooks& hooks, const Tape& tape, Threads& threads)
    : hooks_(hooks), model_(hooks.model()), sites_(model_.sites()), tape_(tape), threads_(threads) {
  const std::size_t rows = tape.output.rows(), c = tape.output.columns();
  const Tape::Layer& first = tape.layers.front();
  d_ = Matrix(rows, c);
  dx_ = Matrix(rows, c);
  scratch_ = Matrix(rows, std::max({c, first.gate.columns(), first.q.columns()}));
  dq_ = Matrix(rows, first.q.columns());
  dk_ = Matrix(rows, first.k.columns());
  dv_ = Matrix(rows, first.v.columns());
  dwide_ = Matrix(rows, first.q.columns());
  dgate_ = Matrix(rows, first.gate.columns());
  dup_ = Matrix(rows, first.gate.columns());
}

void BackwardPass::weight_gradient(std::size_t site, ConstRows dy, ConstRows x) {
  if (!hooks_.used(site)) return;
  dw_.resize(dy.columns, x.columns);
  multiply_transposed(dy, x, dw_, threads_);
  Sequence whole;
  whole.rows = dw_.rows();
  act(hooks_, site, {whole}, threads_, dw_);
}

// What q, k, v (gate, up) read: kept where maps have changed it, else the norm once more.
ConstRows BackwardPass::normalised(const Matrix& kept, ConstRows before, std::size_t gain) {
  if (!kept.empty()) return kept;
  normalised_.resize(before.rows, before.columns);
  for_row_pieces(before.rows, threads_, [&](std::size_t first, std::size_t count) {
    rms_norm(before.slice(first, count), hooks_.data(gain), model_.config().norm_epsilon,
             normalised_.view().slice(first, count));
  });
  return normalised_;
}

ConstRows BackwardPass::activation(const Tape::Layer& kept) {
  activation_.resize(kept.gate.rows(), kept.gate.columns());
  for_row_pieces(kept.gate.rows(), threads_, [&](std::size_t first, std::size_t count) {
    silu_product(kept.gate.view().row(first), kept.up.view().row(first), activation_.view().row(first),
                 count * kept.gate.columns());
  });
  return activation_;
}

// dy: gradient of the output as the model goes on with it; consumed. `input`: what the layer reads before its own maps.
void BackwardPass::linear(int index, Linear which, Rows dy, ConstRows input, Rows dx, bool add) {
  const auto site = [&](LinearPoint point) { return sites_.at(index, which, point); };
  maps(site(LinearPoint::output), dy);
  act_at(site(LinearPoint::output_gradient), dy);
  const Matrix& replaced = kept(index).linear_input[static_cast<int>(which)];
  weight_gradient(site(LinearPoint::weight_gradient), dy, replaced.empty() ? input : replaced.view());
  const std::size_t weight = model_.weight(index, which);
  const Parameter& shape = model_.parameters()[weight];
  const ConstRows w(hooks_.data(weight), shape.rows, shape.columns);
  const bool hooked = hooks_.used(site(LinearPoint::input_gradient)) || has_maps(hooks_, site(LinearPoint::input));
  if (!hooked) {
    multiply_by_weight(dy, w, dx, add, threads_);
    return;
  }
  const Rows own = add ? Rows(scratch_.data(), dx.rows, dx.columns) : dx;
  multiply_by_weight(dy, w, own, false, threads_);
  act_at(site(LinearPoint::input_gradient), own);
  maps(site(LinearPoint::input), own);
  if (!add) return;
  for_row_pieces(dx.rows, threads_, [&](std::size_t first, std::size_t count) {
    add_to(own.row(first), dx.row(first), count * dx.columns);
  });
}

void BackwardPass::head_norm(int index, NormParameter which, ConstRows raw, Rows gradient) {
  const std::size_t parameter = model_.norm(index, which), d = model_.config().head_dim;
  if (!model_.has_parameter(parameter)) return;
  const std::size_t heads = gradient.rows * gradient.columns / d;
  const Rows dy(gradient.data, heads, d);
  rms_norm_backward({raw.data, heads, d}, hooks_.data(parameter), model_.config().norm_epsilon, dy, dy, false);
}

void BackwardPass::mlp_half(int index) {
  const Tape::Layer& k = kept(index);
  copy_rows(d_.view(), dx_);
  linear(index, Linear::down_proj, dx_, activation(k), dgate_, false);
  for_row_pieces(d_.rows(), threads_, [&](std::size_t first, std::size_t count) {
    float* dgate = dgate_.view().row(first);
    silu_product_backward(k.gate.view().row(first), k.up.view().row(first), dgate, dgate, dup_.view().row(first),
                          count * dgate_.columns());
  });
  const ConstRows x = normalised(k.mlp_input, k.middle, model_.norm(index, NormParameter::post_attention));
  linear(index, Linear::gate_proj, dgate_, x, dx_, false);
  linear(index, Linear::up_proj, dup_, x, dx_, true);
  maps(sites_.at(index, LayerPoint::mlp_input), dx_);
  const float* gain = hooks_.data(model_.norm(index, NormParameter::post_attention));
  for_row_pieces(d_.rows(), threads_, [&](std::size_t first, std::size_t count) {
    rms_norm_backward(k.middle.view().slice(first, count), gain, model_.config().norm_epsilon,
                      dx_.view().slice(first, count), d_.view().slice(first, count), true);
  });
}

void BackwardPass::attention_half(int index) {
  const Tape::Layer& k = kept(index);
  copy_rows(d_.view(), dx_);
  linear(index, Linear::o_proj, dx_, k.attn_output, dwide_, false);
  const AttentionShape shape = model_.attention_shape(index);
  for (const Sequence& s : tape_.sequences) {
    const auto cut = [&](ConstRows rows) { return rows.slice(s.first_row, s.rows); };
    const auto own = [&](Matrix& rows) { return rows.view().slice(s.first_row, s.rows); };
    const AttentionCall call{shape,    s,        cut(k.q), tape_.positions.data() + s.first_row,
                             cut(k.k), cut(k.v), {},       threads_};
    plain_attention_backward(call, own(dwide_), own(dq_), own(dk_), own(dv_));
  }
  maps(sites_.at(index, LayerPoint::q), dq_);
  maps(sites_.at(index, LayerPoint::k), dk_);
  maps(sites_.at(index, LayerPoint::v), dv_);
  const Matrix table = model_.rope().table(tape_.positions.data(), tape_.positions.size());
  Rope::apply(dq_, table, true);
  Rope::apply(dk_, table, true);
  maps(sites_.at(index, LayerPoint::q_pre), dq_);
  maps(sites_.at(index, LayerPoint::k_pre), dk_);
  head_norm(index, NormParameter::q, k.q_raw, dq_);
  head_norm(index, NormParameter::k, k.k_raw, dk_);
  const ConstRows x = normalised(k.attn_input, k.input, model_.norm(index, NormParameter::input));
  linear(index, Linear::q_proj, dq_, x, dx_, false);
  linear(index, Linear::k_proj, dk_, x, dx_, true);
  linear(index, Linear::v_proj, dv_, x, dx_, true);
  maps(sites_.at(index, LayerPoint::attn_input), dx_);
  const float* gain = hooks_.data(model_.norm(index, NormParameter::input));
  for_row_pieces(d_.rows(), threads_, [&](std::size_t first, std::size_t count) {
    rms_norm_backward(k.input.view().slice(first, count), gain, model_.config().norm_epsilon,
                      dx_.view().slice(first, count), d_.view().slice(first, count), true);
  });
}

void BackwardPass::layers() {
  for (int index = static_cast<int>(model_.config().layers) - 1; index >= 0; --index) {
    maps(sites_.at(index, LayerPoint::output), d_);
    mlp_half(index);
    attention_half(index);
    maps(sites_.at(index, LayerPoint::input), d_);
  }
}

// (softmax(logits) - onehot(target)) / count, in place; zero where the row predicts nothing.
double loss_gradient(Rows row, std::int32_t target, double count) {
  if (target < 0) {
    std::fill_n(row.data, row.columns, 0.0f);
    return 0;
  }
  const double loss = token_loss(row.data, row.columns, target);
  const double sum = exp_row(row.data, 1, row.columns);
  scale_values(row.data, static_cast<float>(1 / (sum * count)), row.columns);
  row.data[target] -= static_cast<float>(1 / count);
  return loss;
}

std::vector<double> BackwardPass::head(std::span<const std::int32_t> tokens) {
  std::vector<std::int32_t> target(tokens.size(), -1);
  double count = 0;
  for (const Sequence& s : tape_.sequences) {
    if (s.rows < 2) throw_error(ExitCode::usage, "sequence {} has one token: a loss needs two", s.index);
    for (std::size_t i = 0; i + 1 < s.rows; ++i) target[s.first_row + i] = tokens[s.first_row + i + 1];
    count += static_cast<double>(s.rows - 1);
  }
  const PassResult pass{tape_.output, tape_.sequences, tape_.positions, {}};
  const ConstRows w(hooks_.data(model_.lm_head()), model_.config().vocabulary, model_.config().hidden);
  const std::size_t weight_site = sites_.lm_head(LinearPoint::weight_gradient);
  Matrix dw, piece;
  if (hooks_.used(weight_site)) dw = Matrix::zeros(w.rows, w.columns), piece = Matrix(w.rows, w.columns);
  std::vector<double> row_loss(tokens.size());
  LogitPieces pieces(hooks_, pass, threads_);
  for (std::size_t p = 0; p < pieces.count(); ++p) {
    const std::size_t first = pieces.first_row(p);
    const Rows logits = pieces.compute(p);
    threads_.parallel_for(logits.rows, [&](std::size_t i) {
      row_loss[first + i] = loss_gradient(logits.slice(i, 1), target[first + i], count);
    });
    const auto parts = cut(tape_.sequences, first, logits.rows);
    act_backward(hooks_, sites_.lm_head(LinearPoint::output), parts, threads_, logits);
    act(hooks_, sites_.lm_head(LinearPoint::output_gradient), parts, threads_, logits);
    multiply_by_weight(logits, w, dx_.view().slice(first, logits.rows), false, threads_);
    if (dw.empty()) continue;
    multiply_transposed(logits, pieces.input().slice(first, logits.rows), piece, threads_);
    add_to(piece.data(), dw.data(), dw.rows() * dw.columns());
  }
  if (!dw.empty()) {
    Sequence whole;
    whole.rows = dw.rows();
    act(hooks_, weight_site, {whole}, threads_, dw);
  }
  act_at(sites_.lm_head(LinearPoint::input_gradient), dx_);
  maps(sites_.lm_head(LinearPoint::input), dx_);
  maps(sites_.final_norm(), dx_);
  rms_norm_backward(tape_.residual, hooks_.data(model_.final_norm()), model_.config().norm_epsilon, dx_, d_, false);
  std::vector<double> losses;
  for (std::size_t r = 0; r < tokens.size(); ++r)
    if (target[r] >= 0) losses.push_back(row_loss[r]);
  return losses;
}

void refuse_replaced(const Hooks& hooks) {
  const int layers = static_cast<int>(hooks.model().config().layers);
  for (int layer = 0; layer < layers; ++layer) {
    if (hooks.attention_op(layer) != nullptr)
      throw_error(ExitCode::usage, "gradients: the attention of layer {} is replaced", layer);
    for (int linear = 0; linear < kLinears; ++linear)
      if (hooks.linear_op(layer, linear) != nullptr)
        throw_error(ExitCode::usage, "gradients: the product of {} in layer {} is replaced",
                    linear_name(static_cast<Linear>(linear)), layer);
  }
  if (hooks.linear_op(-1, kLinears) != nullptr)
    throw_error(ExitCode::usage, "gradients: the product of lm_head is replaced");
}

}  // namespace

LossResult backward(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads, Tape& tape) {
  refuse_replaced(hooks);
  forward(hooks, spans, threads, &tape);
  std::vector<std::int32_t> tokens;
  for (const TokenSpan& span : spans) tokens.insert(tokens.end(), span.tokens.begin(), span.tokens.end());
  BackwardPass pass(hooks, tape, threads);
  LossResult result;
  result.token_losses = pass.head(tokens);
  pass.layers();
  result.loss = mean(result.token_losses);
  return result;
}

LossResult backward(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads) {
  Tape tape;
  return backward(hooks, spans, threads, tape);
}

}  // namespace lowbit::model
