#include "sim/model/forward.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <initializer_list>
#include <span>

#include "formats/error.hpp"
#include "sim/model/math.hpp"
#include "sim/model/product.hpp"
#include "sim/model/site_actions.hpp"

namespace lowbit::model {
namespace {

class Pass {
 public:
  Pass(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads, Tape* tape);
  PassResult run(std::span<const TokenSpan> spans);

 private:
  static constexpr std::size_t kLargestGroup = 3;  // consecutive linear layers that read one tensor
  void embed(std::span<const TokenSpan> spans);
  void run_layer(int layer);
  void attention_half(int layer);
  void mlp_half(int layer);
  void queries_and_keys(int layer);
  void attend(int layer);
  ConstRows weight(int layer, Linear linear) const;
  void expect_after(int layer, Linear first);
  void apply_group(int layer, Linear first, Rows input, std::initializer_list<Rows> outputs);
  void norm(std::size_t parameter, ConstRows x, Rows y);
  void head_norm(int layer, NormParameter norm, Rows rows, Matrix* raw);
  void add_residual();
  void act_at(std::size_t site, Rows rows) { act(hooks_, site, sequences_, threads_, rows); }
  void keep(Matrix Tape::Layer::*member, int layer, ConstRows rows);

  const Hooks& hooks_;
  const Model& model_;
  const SiteTable& sites_;
  Threads& threads_;
  Tape* tape_;
  std::size_t tokens_ = 0;
  std::vector<Sequence> sequences_;
  std::vector<std::int64_t> positions_;
  std::vector<std::unique_ptr<KvCache>> own_caches_;
  std::vector<AttentionStats> stats_;
  Matrix table_, residual_, x_, q_, k_, v_, k_pre_, attended_, y_, gate_, up_;
  Matrix replaced_[kLargestGroup];
};

Pass::Pass(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads, Tape* tape)
    : hooks_(hooks), model_(hooks.model()), sites_(model_.sites()), threads_(threads), tape_(tape) {
  const Config& c = model_.config();
  for (const TokenSpan& span : spans) {
    KvCache* cache = span.cache;
    if (cache == nullptr && hooks.cache_factory() != nullptr)
      cache = own_caches_.emplace_back(hooks.make_cache()).get();
    if (span.tokens.empty()) throw_error(ExitCode::usage, "sequence {} of the batch has no tokens", sequences_.size());
    const std::int64_t first = cache == nullptr ? 0 : cache->next_position();
    sequences_.push_back({sequences_.size(), tokens_, span.tokens.size(), first, cache});
    for (std::size_t i = 0; i < span.tokens.size(); ++i) positions_.push_back(first + static_cast<std::int64_t>(i));
    if (positions_.back() >= static_cast<std::int64_t>(c.context))
      throw_error(ExitCode::usage,
                  "a text of {} tokens is longer than the model's context of {} (max_position_embeddings)",
                  positions_.back() + 1, c.context);
    tokens_ += span.tokens.size();
    if (tape != nullptr && cache != nullptr) throw_error(ExitCode::usage, "gradients need a pass without a cache");
  }
  if (tape != nullptr && hooks.pass_control() != nullptr)
    throw_error(ExitCode::usage, "gradients need a pass without a pass control");
  stats_.resize(c.layers);
  const std::size_t query_width = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
  table_ = model_.rope().table(positions_.data(), tokens_);
  residual_ = Matrix(tokens_, c.hidden);
  x_ = Matrix(tokens_, c.hidden);
  y_ = Matrix(tokens_, c.hidden);
  q_ = Matrix(tokens_, query_width);
  attended_ = Matrix(tokens_, query_width);
  k_ = Matrix(tokens_, kv_width);
  v_ = Matrix(tokens_, kv_width);
  gate_ = Matrix(tokens_, c.intermediate);
  up_ = Matrix(tokens_, c.intermediate);
}

void Pass::keep(Matrix Tape::Layer::*member, int layer, ConstRows rows) {
  if (tape_ == nullptr) return;
  Matrix& kept = tape_->layers[static_cast<std::size_t>(layer)].*member;
  kept.resize(rows.rows, rows.columns);
  // in parallel: half of the time goes into the first touch of new pages
  for_row_pieces(rows.rows, threads_, [&](std::size_t first, std::size_t count) {
    copy_rows(rows.slice(first, count), kept.view().slice(first, count));
  });
}

void Pass::embed(std::span<const TokenSpan> spans) {
  const Config& c = model_.config();
  const float* table = hooks_.data(model_.embedding());
  for (std::size_t s = 0; s < spans.size(); ++s)
    for (std::size_t i = 0; i < spans[s].tokens.size(); ++i) {
      const std::int32_t token = spans[s].tokens[i];
      if (token < 0 || static_cast<std::size_t>(token) >= c.vocabulary)
        throw_error(ExitCode::bad_data, "token {} at place {} of sequence {} is outside the vocabulary of {}", token, i,
                    s, c.vocabulary);
      std::copy_n(table + static_cast<std::size_t>(token) * c.hidden, c.hidden,
                  residual_.view().row(sequences_[s].first_row + i));
    }
  act_at(sites_.embedding(), residual_);
}

void Pass::norm(std::size_t parameter, ConstRows x, Rows y) {
  for_row_pieces(x.rows, threads_, [&](std::size_t first, std::size_t count) {
    rms_norm(x.slice(first, count), hooks_.data(parameter), model_.config().norm_epsilon, y.slice(first, count));
  });
}

// Each head is a row of its own: the norm runs over head_dim.
void Pass::head_norm(int layer, NormParameter which, Rows rows, Matrix* raw) {
  const std::size_t parameter = model_.norm(layer, which), d = model_.config().head_dim;
  if (hooks_.data(parameter) == nullptr) return;
  if (raw != nullptr) {
    raw->resize(rows.rows, rows.columns);
    copy_rows(rows, *raw);
  }
  const Rows heads(rows.data, rows.rows * rows.columns / d, d);
  norm(parameter, heads, heads);
}

ConstRows Pass::weight(int layer, Linear linear) const {
  const std::size_t index = model_.weight(layer, linear);
  const Parameter& shape = model_.parameters()[index];
  return {hooks_.data(index), shape.rows, shape.columns};
}

// A single token waits for memory alone: names the weights that are read after those of the group that begins with
// `first`.
void Pass::expect_after(int layer, Linear first) {
  const Config& c = model_.config();
  if (tokens_ != 1) return;
  if (first == Linear::q_proj) {
    expect_vectors({weight(layer, Linear::o_proj)}, threads_);
  } else if (first == Linear::o_proj) {
    expect_vectors({weight(layer, Linear::gate_proj), weight(layer, Linear::up_proj)}, threads_);
  } else if (first == Linear::gate_proj) {
    expect_vectors({weight(layer, Linear::down_proj)}, threads_);
  } else if (++layer < static_cast<int>(c.layers)) {
    expect_vectors({weight(layer, Linear::q_proj), weight(layer, Linear::k_proj), weight(layer, Linear::v_proj)},
                   threads_);
  } else {
    expect_vectors({ConstRows(hooks_.data(model_.lm_head()), c.vocabulary, c.hidden)}, threads_);
  }
}

// Inputs go through their maps first; linear layers with the same maps share one replaced input.
void Pass::apply_group(int layer, Linear first, Rows input, std::initializer_list<Rows> outputs) {
  assert(outputs.size() <= kLargestGroup);
  const auto linear = [&](std::size_t i) { return static_cast<Linear>(static_cast<std::size_t>(first) + i); };
  const auto same_maps = [&](std::size_t a, std::size_t b) {
    const auto &x = hooks_.actions(a), &y = hooks_.actions(b);
    return x.size() == y.size() && std::equal(x.begin(), x.end(), y.begin(), [](const auto& p, const auto& q) {
             return p.map && p.map == q.map && !p.observer && !q.observer;
           });
  };
  std::array<Product, kLargestGroup> products;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::size_t site = sites_.at(layer, linear(i), LinearPoint::input);
    Rows x = input;
    if (has_maps(hooks_, site)) {
      if (i > 0 && same_maps(sites_.at(layer, linear(i - 1), LinearPoint::input), site)) {
        x = Rows(const_cast<float*>(products[i - 1].x.data), input.rows, input.columns);
      } else {
        replaced_[i].resize(input.rows, input.columns);
        x = replaced_[i];
        copy_rows(input, x);
        act_at(site, x);
      }
      if (tape_ != nullptr) {
        Matrix& kept = tape_->layers[static_cast<std::size_t>(layer)].linear_input[static_cast<int>(linear(i))];
        kept.resize(x.rows, x.columns);
        copy_rows(x, kept);
      }
    } else {
      act_at(site, x);
    }
    products[i] = {x, weight(layer, linear(i)), outputs.begin()[i], hooks_.data(model_.bias(layer, linear(i)))};
  }
  std::array<Product, kLargestGroup> plain;
  std::size_t plain_count = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Product& p = products[i];
    LinearOp* op = hooks_.linear_op(layer, static_cast<int>(linear(i)));
    if (op == nullptr) {
      plain[plain_count++] = p;
      continue;
    }
    const std::size_t site = sites_.at(layer, linear(i), LinearPoint::output);
    for (const Sequence& s : sequences_)
      op->apply({sites_[site], s, threads_}, p.x.slice(s.first_row, s.rows), p.w, p.y.slice(s.first_row, s.rows));
    for (std::size_t t = 0; p.bias != nullptr && t < p.y.rows; ++t) add_to(p.bias, p.y.row(t), p.y.columns);
  }
  expect_after(layer, first);
  multiply(std::span(plain).first(plain_count), threads_);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    act_at(sites_.at(layer, linear(i), LinearPoint::output), outputs.begin()[i]);
}

void Pass::queries_and_keys(int layer) {
  Tape::Layer* kept = tape_ == nullptr ? nullptr : &tape_->layers[static_cast<std::size_t>(layer)];
  head_norm(layer, NormParameter::q, q_, kept == nullptr ? nullptr : &kept->q_raw);
  head_norm(layer, NormParameter::k, k_, kept == nullptr ? nullptr : &kept->k_raw);
  act_at(sites_.at(layer, LayerPoint::q_pre), q_);
  act_at(sites_.at(layer, LayerPoint::k_pre), k_);
  const bool cached =
      std::any_of(sequences_.begin(), sequences_.end(), [](const Sequence& s) { return s.cache != nullptr; });
  if (cached) {
    k_pre_.resize(k_.rows(), k_.columns());
    copy_rows(k_.view(), k_pre_);
  }
  for_row_pieces(tokens_, threads_, [&](std::size_t first, std::size_t count) {
    Rope::apply(q_.view().slice(first, count), table_.view().slice(first, count));
    Rope::apply(k_.view().slice(first, count), table_.view().slice(first, count));
  });
  act_at(sites_.at(layer, LayerPoint::q), q_);
  act_at(sites_.at(layer, LayerPoint::k), k_);
  act_at(sites_.at(layer, LayerPoint::v), v_);
}

void Pass::attend(int layer) {
  const AttentionShape shape = model_.attention_shape(layer);
  for (const Sequence& s : sequences_) {
    const std::int64_t* positions = positions_.data() + s.first_row;
    const auto own = [&](Matrix& rows) { return rows.view().slice(s.first_row, s.rows); };
    if (s.cache != nullptr) s.cache->append({layer, positions, own(x_), own(k_pre_), own(k_), own(v_)});
    const AttentionCall call{shape, s, own(q_), positions, own(k_), own(v_), own(attended_), threads_};
    AttentionOp* op = hooks_.attention_op(layer);
    stats_[static_cast<std::size_t>(layer)].add(op != nullptr ? op->apply(call) : plain_attention(call));
  }
}

void Pass::add_residual() {
  for_row_pieces(tokens_, threads_, [&](std::size_t first, std::size_t count) {
    add_to(y_.view().row(first), residual_.view().row(first), count * y_.columns());
  });
}

void Pass::attention_half(int layer) {
  keep(&Tape::Layer::input, layer, residual_);
  norm(model_.norm(layer, NormParameter::input), residual_, x_);
  act_at(sites_.at(layer, LayerPoint::attn_input), x_);
  if (has_maps(hooks_, sites_.at(layer, LayerPoint::attn_input))) keep(&Tape::Layer::attn_input, layer, x_);
  apply_group(layer, Linear::q_proj, x_, {q_, k_, v_});
  queries_and_keys(layer);
  keep(&Tape::Layer::q, layer, q_);
  keep(&Tape::Layer::k, layer, k_);
  keep(&Tape::Layer::v, layer, v_);
  attend(layer);
  keep(&Tape::Layer::attn_output, layer, attended_);
  apply_group(layer, Linear::o_proj, attended_, {y_});
  add_residual();
}

void Pass::mlp_half(int layer) {
  keep(&Tape::Layer::middle, layer, residual_);
  norm(model_.norm(layer, NormParameter::post_attention), residual_, x_);
  act_at(sites_.at(layer, LayerPoint::mlp_input), x_);
  if (has_maps(hooks_, sites_.at(layer, LayerPoint::mlp_input))) keep(&Tape::Layer::mlp_input, layer, x_);
  apply_group(layer, Linear::gate_proj, x_, {gate_, up_});
  keep(&Tape::Layer::gate, layer, gate_);
  keep(&Tape::Layer::up, layer, up_);
  for_row_pieces(tokens_, threads_, [&](std::size_t first, std::size_t count) {
    float* gate = gate_.view().row(first);
    silu_product(gate, up_.view().row(first), gate, count * gate_.columns());
  });
  apply_group(layer, Linear::down_proj, gate_, {y_});
  add_residual();
}

void Pass::run_layer(int layer) {
  act_at(sites_.at(layer, LayerPoint::input), residual_);
  attention_half(layer);
  mlp_half(layer);
  act_at(sites_.at(layer, LayerPoint::output), residual_);
}

// What an earlier pass left is overwritten; what this one may leave out is emptied.
void start(Tape& tape, std::size_t layers) {
  tape.layers.resize(layers);
  for (Tape::Layer& layer : tape.layers) {
    for (Matrix* matrix : {&layer.attn_input, &layer.mlp_input, &layer.q_raw, &layer.k_raw}) matrix->resize(0, 0);
    for (Matrix& input : layer.linear_input) input.resize(0, 0);
  }
}

PassResult Pass::run(std::span<const TokenSpan> spans) {
  const int layers = static_cast<int>(model_.config().layers);
  if (tape_ != nullptr) start(*tape_, static_cast<std::size_t>(layers));
  embed(spans);
  for (int layer = 0; layer < layers; ++layer) {
    if (PassControl* control = hooks_.pass_control()) {
      const auto action = control->before_layer(layer, sequences_, residual_);
      if (action == PassControl::Action::stop) break;
      if (action == PassControl::Action::skip) continue;
    }
    run_layer(layer);
  }
  norm(model_.final_norm(), residual_, x_);
  act_at(sites_.final_norm(), x_);
  if (tape_ != nullptr) {
    tape_->residual = residual_;
    tape_->output = x_;
    tape_->sequences = sequences_;
    tape_->positions = positions_;
  }
  // caches of this pass alone end with it
  for (Sequence& sequence : sequences_)
    for (const auto& own : own_caches_)
      if (sequence.cache == own.get()) sequence.cache = nullptr;
  return {std::move(x_), sequences_, positions_, stats_};
}

}  // namespace

PassResult forward(const Hooks& hooks, std::span<const TokenSpan> spans, Threads& threads, Tape* tape) {
  return Pass(hooks, spans, threads, tape).run(spans);
}

}  // namespace lowbit::model
