// Attention over streams: the order of sums, packed against plain blocks, views, and methods that change what is read.
#include <cstring>

#include "sim/kv/corrected.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/model/model.hpp"
#include "tests/sim/kv/support.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using namespace lowbit::kv;
using namespace lowbit::test;

namespace {

constexpr float kScale = 0.125f;

// Attention in double, as its definition says.
std::vector<double> reference(const float* q, ConstRows k, ConstRows v, float scale) {
  std::vector<double> logit(k.rows), y(v.columns);
  double maximum = -1e300, sum = 0;
  for (std::size_t t = 0; t < k.rows; ++t) {
    for (std::size_t c = 0; c < k.columns; ++c) logit[t] += static_cast<double>(q[c]) * k.row(t)[c] * scale;
    maximum = std::max(maximum, logit[t]);
  }
  for (double& x : logit) sum += x = std::exp(x - maximum);
  for (std::size_t t = 0; t < k.rows; ++t)
    for (std::size_t c = 0; c < v.columns; ++c) y[c] += logit[t] / sum * v.row(t)[c];
  return y;
}

// The rules of a method with float32 blocks in place of packed ones.
LayerRules plain(LayerRules rules) {
  for (Side* side : {&rules.k, &rules.v})
    for (auto& codec : side->codecs) codec = std::make_shared<PlainCodec>(codec);
  return rules;
}

}  // namespace

TEST_CASE("logits are summed in 16 lanes, added pairwise", "[kv]") {
  for (const std::size_t n : {1ul, 15ul, 16ul, 17ul, 64ul, 80ul, 127ul}) {
    const auto x = random_rows(1, n), y = random_rows(1, n, 2);
    float lane[16] = {};
    for (std::size_t i = 0; i < n; ++i) {
      const volatile float product = x.data()[i] * y.data()[i];
      lane[i % 16] += product;
    }
    for (int width : {8, 4, 2, 1})
      for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
    CAPTURE(n);
    CHECK(lane_dot(x.data(), y.data(), n) == lane[0]);
  }
}

TEST_CASE("packed and fake-quantised attention agree bit for bit", "[kv]") {
  const LayerShape shape{1, 64};
  const Tokens tokens(700, shape);
  const auto rope = test_rope(64);
  model::Matrix squares = random_rows(700, 64, 31);  // as gradients' would be
  for (std::size_t i = 0; i < 700 * 64; ++i) squares.data()[i] *= squares.data()[i];
  const Calibration calibration{tokens.k_pre, tokens.k, tokens.v, squares, squares};
  const auto q = random_rows(3, 64, 77);
  for (const auto& name : method_names()) {
    if (name == "fp") continue;
    CAPTURE(name);
    const LayerRules rules = make_method(name, {})->rules(shape, &calibration);
    model::Matrix out[2] = {model::Matrix(3, 64), model::Matrix(3, 64)};
    std::size_t bytes[2] = {};
    for (int i = 0; i < 2; ++i) {
      Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{i == 0 ? rules : plain(rules)}, &rope), true);
      tokens.give(0, 700, [&](const auto& step) { cache.append(step); });
      attend(cache.reader(0, 0), q, 699, kScale, out[i]);
      bytes[i] = cache.bytes();
      // and both are the attention over the rows that the model's own path would read
      const model::KeyValues rows = cache.read(0, 0);
      for (std::size_t g = 0; g < 3; ++g) {
        const auto y = reference(q.view().row(g), rows.k, rows.v, kScale);
        for (std::size_t c = 0; c < 64; ++c) CHECK(out[i].view().row(g)[c] == Approx(y[c]).margin(2e-5));
      }
    }
    CHECK(same_bits(out[0].view(), out[1].view()));
    CHECK(bytes[0] * 2 < bytes[1]);
  }
}

TEST_CASE("attention is causal by position, leaves parts out, and reports its mass", "[kv]") {
  const LayerShape shape{1, 32};
  const Tokens tokens(300, shape);
  MethodOptions options;
  options.group = 64, options.residual = 64;
  const auto rules = make_method("kivi", options)->rules(shape, nullptr);
  Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, nullptr), true);
  tokens.give(0, 300, [&](const auto& step) { cache.append(step); });
  const auto q = random_rows(2, 32, 5);
  model::Matrix out(2, 32);
  const model::KeyValues rows = cache.read(0, 0);
  attend(cache.reader(0, 0), q, 99, kScale, out);
  auto y = reference(q.data(), rows.k.slice(0, 100), rows.v.slice(0, 100), kScale);
  for (std::size_t c = 0; c < 32; ++c) CHECK(out.data()[c] == Approx(y[c]).margin(1e-5));
  attend(cache.reader(0, 0), q, -1, kScale, out);
  CHECK(out.data()[0] == 0.0f);

  // a slot that is filled again with a later token is hidden from queries before that
  const auto later = positions_from(400, 1);
  for (const char* name : {"k", "v"}) cache.storage(0).stream(name).overwrite(299, random_rows(1, 32, 6), later.data());
  attend(cache.reader(0, 0), q, 399, kScale, out);
  y = reference(q.data(), rows.k.slice(0, 299), rows.v.slice(0, 299), kScale);
  for (std::size_t c = 0; c < 32; ++c) CHECK(out.data()[c] == Approx(y[c]).margin(1e-5));
  for (const char* name : {"k", "v"}) cache.storage(0).stream(name).erase(299, 1);

  HeadReader reader = cache.reader(0, 0);
  reader.reads = [](const Stream::Part& part) { return part.first == 64; };
  std::vector<float> mass(300);
  attend(reader, q, 299, kScale, out, nullptr, &mass);
  y = reference(q.data(), rows.k.slice(64, 64), rows.v.slice(64, 64), kScale);
  for (std::size_t c = 0; c < 32; ++c) CHECK(out.data()[c] == Approx(y[c]).margin(1e-5));
  double inside = 0, outside = 0;
  for (std::size_t t = 0; t < 300; ++t) (t >= 64 && t < 128 ? inside : outside) += mass[t];
  CHECK(inside == Approx(2).epsilon(1e-5));
  CHECK(outside == 0);
}

TEST_CASE("the decode view in one pass is token-by-token decoding", "[kv]") {
  // one layer, 2 KV heads with 2 query heads each
  const LayerShape shape{2, 32};
  constexpr std::size_t kTokens = 330;
  const Tokens tokens(kTokens, shape);
  const auto rope = test_rope(32);
  const auto q = random_rows(kTokens, 4 * 32, 55);
  const Calibration calibration{tokens.k_pre, tokens.k, tokens.v};
  const auto positions = positions_from(0, kTokens);
  const model::AttentionShape attention{0, 4, 2, 32, kScale, 0};
  Threads threads(2);
  MethodOptions options;
  options.group = 32, options.residual = 64, options.sinks = 3, options.block = 64;
  // pre-RoPE keys must be those whose RoPE gives k
  model::Matrix k_pre(kTokens, 64);
  model::copy_rows(tokens.k.view(), k_pre);
  model::Rope::apply(k_pre, rope.table(positions.data(), kTokens), true);
  auto corrections = std::make_shared<Corrections>();
  corrections->kv_heads = 2;
  for (std::uint64_t h = 0; h < 2; ++h) corrections->heads.emplace_back(32, 16, 2, 0.05, Rng(h));
  for (const std::string name : {"kivi", "kivi_pre", "kvlinc", "quarot", "kvquant", "had_channel", "resq", "gear",
                                 "gear_l", "kvlinc adapters", "kvlinc layer"}) {
    CAPTURE(name);
    const bool adapters = name == "kvlinc adapters" || name == "kvlinc layer";
    options.group_span_layer = name == "kvlinc layer";
    const LayerRules rules = make_method(adapters ? "kvlinc" : name, options)->rules(shape, &calibration);
    const auto policy = [&]() -> std::unique_ptr<Policy> {
      if (adapters) return std::make_unique<CorrectedPolicy>(std::vector{rules}, &rope, corrections);
      return std::make_unique<WindowPolicy>(std::vector{rules}, &rope);
    };
    const auto step = [&](std::size_t first, std::size_t count) {
      return model::CacheTokens{0,
                                positions.data() + first,
                                tokens.x.view().slice(first, count),
                                k_pre.view().slice(first, count),
                                tokens.k.view().slice(first, count),
                                tokens.v.view().slice(first, count)};
    };
    const auto run = [&](Cache& cache, model::AttentionOp& op, std::size_t first, std::size_t count,
                         model::Matrix& out) {
      cache.append(step(first, count));
      const model::Sequence sequence{0, 0, count, static_cast<std::int64_t>(first), &cache};
      op.apply({attention, sequence, q.view().slice(first, count), positions.data() + first,
                tokens.k.view().slice(first, count), tokens.v.view().slice(first, count),
                out.view().slice(first, count), threads});
    };
    model::Matrix one(kTokens, 128), each(kTokens, 128);
    Cache whole({shape}, policy(), true);
    ViewAttention view;
    run(whole, view, 0, kTokens, one);
    Cache stepwise({shape}, policy(), false);
    PackedAttention packed;
    for (std::size_t t = 0; t < kTokens; ++t) run(stepwise, packed, t, 1, each);
    double error = 0;
    for (std::size_t i = 0; i < kTokens * 128; ++i)
      error = std::max(error, std::abs(static_cast<double>(one.data()[i]) - each.data()[i]));
    CHECK(error < 1e-5);
    if (adapters) {  // and the terms are there
      const std::size_t state = 2 * 2 * 16 * 33;
      CHECK(whole.held().states == state);
      Cache bare({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, &rope), true);
      model::Matrix plain(kTokens, 128);
      run(bare, view, 0, kTokens, plain);
      double change = 0;
      for (std::size_t i = 0; i < kTokens * 128; ++i)
        change = std::max(change, std::abs(static_cast<double>(one.data()[i]) - plain.data()[i]));
      CHECK(change > 1e-3);
    }
    // all: every query sees what is sealed at the end of the text, and corrections of the sealed slots up to its own
    Cache full({shape}, policy(), true);
    model::Matrix all(kTokens, 128);
    ViewAttention everything(0, View::all);
    run(full, everything, 0, kTokens, all);
    for (const std::size_t n : {1ul, 130ul, 255ul, 256ul, 329ul})
      for (std::size_t h = 0; h < 2; ++h) {
        model::Matrix queries(2, 32), out(2, 32);
        for (std::size_t g = 0; g < 2; ++g) std::copy_n(q.view().row(n) + (2 * h + g) * 32, 32, queries.view().row(g));
        std::vector<double> state(16 * 33);
        const HeadReader reader = full.reader(0, h);
        if (adapters) {
          const Matrix kept = reader.k->rows(), values = reader.v->rows();
          for (std::size_t t = 3; t < std::min<std::size_t>(n + 1, 3 + reader.k->sealed()); ++t) {
            std::vector<double> error, value;
            for (std::size_t c = 0; c < 32; ++c) {
              error.push_back(static_cast<double>(tokens.k.view().row(t)[h * 32 + c]) - kept.view().row(t)[c]);
              value.push_back(values.view().row(t)[reader.v_channel + c]);
            }
            corrections->heads[h].add_state(error.data(), value.data(), 1, state);
          }
        }
        const CorrectionTerms terms(corrections->heads[h], queries.view(), state);
        attend(reader, queries, static_cast<std::int64_t>(n), kScale, out, &terms);
        for (std::size_t g = 0; g < 2; ++g)
          for (std::size_t c = 0; c < 32; ++c)
            CHECK(all.view().row(n)[(2 * h + g) * 32 + c] == Approx(out.view().row(g)[c]).margin(1e-5));
      }
    // a prompt that attends unquantised: its queries see plain keys
    model::Matrix prompt(kTokens, 128);
    Cache serving({shape}, policy(), true);
    ViewAttention served(200);
    run(serving, served, 0, kTokens, prompt);
    const auto y = reference(q.view().row(150), tokens.k.view().slice(0, 151).part(0, 32),
                             tokens.v.view().slice(0, 151).part(0, 32), kScale);
    for (std::size_t c = 0; c < 32; ++c) CHECK(prompt.view().row(150)[c] == Approx(y[c]).margin(1e-5));
    double after = 0;  // tiles of queries are cut elsewhere, so sums differ in their last bits
    for (std::size_t i = 200 * 128; i < kTokens * 128; ++i)
      after = std::max(after, std::abs(static_cast<double>(prompt.data()[i]) - one.data()[i]));
    CHECK(after < 1e-5);
  }
}

TEST_CASE("a query sees the keys in its sliding window alone", "[kv]") {
  const LayerShape shape{1, 32};
  constexpr std::size_t kTokens = 200, kWindow = 50;
  const Tokens tokens(kTokens, shape);
  const auto q = random_rows(kTokens, 2 * 32, 55);
  const auto positions = positions_from(0, kTokens);
  const model::AttentionShape attention{0, 2, 1, 32, kScale, kWindow};
  Threads threads(2);
  MethodOptions options;
  options.group = 32, options.residual = 64, options.sinks = 3;
  const auto run = [&](const std::string& name, model::AttentionOp& op, bool seal_first, std::size_t step) {
    const LayerRules rules = make_method(name, options)->rules(shape, nullptr);
    Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, nullptr), seal_first);
    model::Matrix out(kTokens, 64);
    double pairs = 0;
    for (std::size_t t = 0; t < kTokens; t += step) {
      tokens.give(t, step, [&](const auto& some) { cache.append(some); });
      const model::Sequence sequence{0, 0, step, static_cast<std::int64_t>(t), &cache};
      pairs +=
          op.apply({attention, sequence, q.view().slice(t, step), positions.data() + t, tokens.k.view().slice(t, step),
                    tokens.v.view().slice(t, step), out.view().slice(t, step), threads})
              .attended_pairs;
    }
    CHECK(pairs == 2 * (kWindow * (kWindow + 1) / 2 + (kTokens - kWindow) * kWindow));
    return out;
  };
  ViewAttention view, everything(0, View::all);
  PackedAttention packed;
  const auto plain = run("fp", view, true, kTokens);
  for (const std::size_t n : {0ul, 10ul, 49ul, 50ul, 51ul, 130ul, 199ul}) {  // unquantised: the definition
    const std::size_t first = n < kWindow ? 0 : n + 1 - kWindow;
    const auto y = reference(q.view().row(n) + 32, tokens.k.view().slice(first, n + 1 - first),
                             tokens.v.view().slice(first, n + 1 - first), kScale);
    for (std::size_t c = 0; c < 32; ++c) CHECK(plain.view().row(n)[32 + c] == Approx(y[c]).margin(1e-5));
  }
  const auto difference = [](const model::Matrix& a, const model::Matrix& b) {
    double most = 0;
    for (std::size_t i = 0; i < kTokens * 64; ++i)
      most = std::max(most, std::abs(static_cast<double>(a.data()[i]) - b.data()[i]));
    return most;
  };
  // quantised: one pass is token-by-token decoding; with everything sealed it is the plain attention on the cache
  const auto one = run("kivi", view, true, kTokens);
  CHECK(difference(one, run("kivi", packed, false, 1)) < 1e-5);
  CHECK(difference(one, plain) > 0.01);
  struct Plain : model::AttentionOp {
    model::AttentionStats apply(const model::AttentionCall& call) override { return plain_attention(call); }
  } all;
  CHECK(difference(run("kivi", everything, true, kTokens), run("kivi", all, true, kTokens)) < 1e-5);
  // states of corrections cannot give tokens up
  CHECK_NOTHROW(refuse_window(0));
  CHECK(refusal_of([] { refuse_window(50); }).names("sliding window (50 tokens)"));
}

TEST_CASE("terms join both sums relative to the maximum", "[kv]") {
  struct One : Terms {  // a slot of logit `logit` and value 2 in every channel
    double logit = 0;
    void add(std::size_t, float maximum, float* numerator, double& denominator) const override {
      const double w = std::exp(logit - maximum);
      for (std::size_t c = 0; c < 32; ++c) numerator[c] += static_cast<float>(2 * w);
      denominator += w;
    }
  } term;
  const auto k = random_rows(20, 32), v = random_rows(20, 32, 2), q = random_rows(1, 32, 3);
  const auto positions = positions_from(0, 20);
  Stream keys("k", 32), values("v", 32);
  keys.append(k, positions.data());
  values.append(v, positions.data());
  HeadReader reader;
  reader.k = &keys, reader.v = &values, reader.head_dim = 32;
  model::Matrix out(1, 32);
  term.logit = 1.5;
  attend(reader, q, 19, kScale, out, &term);
  double weight = 0;
  std::vector<double> y(32);
  for (std::size_t t = 0; t < 20; ++t) {
    double logit = 0;
    for (std::size_t c = 0; c < 32; ++c) logit += static_cast<double>(q.data()[c]) * k.view().row(t)[c] * kScale;
    weight += std::exp(logit);
    for (std::size_t c = 0; c < 32; ++c) y[c] += std::exp(logit) * v.view().row(t)[c];
  }
  for (std::size_t c = 0; c < 32; ++c)
    CHECK(out.data()[c] == Approx((y[c] + 2 * std::exp(1.5)) / (weight + std::exp(1.5))).margin(1e-5));
}
