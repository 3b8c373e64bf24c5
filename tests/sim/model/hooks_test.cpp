// What hooks may replace and watch.
#include "sim/model/hooks.hpp"

#include <algorithm>
#include <set>

#include "sim/model/attention.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

struct Fixture {
  Model model = Model::load(family_folder("smollm"), test_threads());
  std::vector<std::int32_t> tokens = Expected("smollm").tokens();
  std::vector<TokenSpan> spans = batch(tokens);
  std::vector<float> output(const Hooks& hooks) { return values(forward(hooks, spans, test_threads()).output); }
};

void scale(Rows rows, float factor) {
  for (std::size_t t = 0; t < rows.rows; ++t)
    for (std::size_t c = 0; c < rows.columns; ++c) rows.row(t)[c] *= factor;
}

TEST_CASE_METHOD(Fixture, "maps on input and weight that cancel leave the model as it is", "[model]") {
  const auto plain = output(Hooks(model));
  Hooks hooks(model);
  hooks.replace("*.up_proj.input", map([](const Tensor&, Rows x) { scale(x, 4); }));
  hooks.weight("*.up_proj", [](const Parameter&, Rows w) { scale(w, 0.25f); });
  CHECK(output(hooks) == plain);
  hooks.replace("*.o_proj.output", map([](const Tensor&, Rows y) { scale(y, 2); }));
  CHECK(output(hooks) != plain);
  const Hooks copied(hooks);  // owns its own copies of replaced weights
  CHECK(output(copied) == output(hooks));
  CHECK(copied.data(model.weight(0, Linear::up_proj)) != hooks.data(model.weight(0, Linear::up_proj)));
}

TEST_CASE_METHOD(Fixture, "hooks act in their order, sequence by sequence, and shared maps once", "[model]") {
  Hooks hooks(model);
  std::vector<float> before, after;
  std::vector<std::size_t> rows;
  int calls = 0;
  const auto doubled = map([&](const Tensor&, Rows x) { scale(x, 2), ++calls; });
  const auto keep = [](std::vector<float>& into) {
    return [&into](const Tensor&, ConstRows x) {
      const auto piece = values(x);
      into.insert(into.end(), piece.begin(), piece.end());
    };
  };
  hooks.observe("model.layers.0.self_attn.k_proj.input", keep(before));
  hooks.replace("model.layers.0.self_attn.k_proj.input", doubled);
  hooks.observe("model.layers.0.self_attn.k_proj.input", keep(after));
  hooks.replace("model.layers.1.self_attn.[qkv]_proj.input", doubled);
  hooks.observe("model.layers.1.input", [&](const Tensor& tensor, ConstRows x) {
    rows.push_back(x.rows);
    CHECK(tensor.sequence.index == rows.size() - 1);
  });
  output(hooks);
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == 2 * before[i]);
  CHECK(calls == 2 + 2);  // two sequences each; q, k and v of layer 1 share one result
  CHECK(rows == std::vector<std::size_t>{kTextLength, kTextLength});
}

TEST_CASE_METHOD(Fixture, "every site of a pass is observable and named", "[model]") {
  Hooks hooks(model);
  std::set<std::string> seen;
  hooks.observe("*", [&](const Tensor& tensor, ConstRows rows) {
    seen.insert(tensor.site.name);
    CHECK(rows.columns == tensor.site.width);
  });
  const PassResult pass = forward(hooks, spans, test_threads());
  all_logits(hooks, pass);
  std::size_t forward_sites = 0;
  for (const Site& site : model.sites().sites()) {
    if (site.name.ends_with("gradient")) continue;
    CAPTURE(site.name);
    CHECK(seen.count(site.name) == 1);
    ++forward_sites;
  }
  CHECK(seen.size() == forward_sites);
}

class Negative : public LinearOp {
 public:
  void apply(const Tensor&, ConstRows x, ConstRows w, Rows y) override {
    for (std::size_t t = 0; t < y.rows; ++t)
      for (std::size_t o = 0; o < y.columns; ++o) {
        double sum = 0;
        for (std::size_t i = 0; i < x.columns; ++i) sum -= static_cast<double>(x.row(t)[i]) * w.row(o)[i];
        y.row(t)[o] = static_cast<float>(sum);
      }
  }
};

TEST_CASE_METHOD(Fixture, "a replaced product is used, and has no gradient", "[model]") {
  Hooks hooks(model), negated(model);
  hooks.linear("*.down_proj", std::make_shared<Negative>());
  negated.weight("*.down_proj", [](const Parameter&, Rows w) { scale(w, -1); });
  CHECK(max_error(output(hooks), output(negated)) <= 1e-5);
  CHECK_THROWS_WITH(backward(hooks, spans, test_threads()), contains("mlp.down_proj") && contains("replaced"));
}

// Attention to the token itself alone.
class SelfOnly : public AttentionOp {
 public:
  AttentionStats apply(const AttentionCall& call) override {
    const std::size_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads;
    AttentionStats stats;
    for (std::size_t head = 0; head < call.shape.heads; ++head) {
      const KeyValues kv = call.read(head / group);
      for (std::size_t t = 0; t < call.q.rows; ++t) {
        const std::size_t own = static_cast<std::size_t>(call.positions[t]);
        CHECK(kv.positions[own] == call.positions[t]);
        std::copy_n(kv.v.row(own), d, call.output.row(t) + head * d);
        stats.causal_pairs += static_cast<double>(own + 1);
        stats.attended_pairs += 1;
      }
    }
    return stats;
  }
};

TEST_CASE_METHOD(Fixture, "a replaced attention reads passes and caches alike and reports what it did", "[model]") {
  Hooks hooks(model);
  hooks.attention("model.layers.1", std::make_shared<SelfOnly>());
  const PassResult pass = forward(hooks, spans, test_threads());
  const double causal = 2 * model.config().heads * kTextLength * (kTextLength + 1) / 2.0;
  CHECK(pass.attention[0].attended_fraction() == 1);
  CHECK(pass.attention[0].causal_pairs == causal);
  CHECK(pass.attention[0].flops == 4 * 16 * causal);
  CHECK(pass.attention[1].attended_fraction() == Approx(2.0 / (kTextLength + 1)));
  const auto cache = hooks.make_cache();
  const TokenSpan first{spans[0].tokens.first(7), cache.get()}, rest{spans[0].tokens.subspan(7), cache.get()};
  forward(hooks, {&first, 1}, test_threads());
  const auto tail = values(forward(hooks, {&rest, 1}, test_threads()).output);
  const auto all = values(pass.output.view().slice(7, kTextLength - 7));
  CHECK(max_error(tail, all) <= 1e-5);
}

class SkipSecond : public PassControl {
 public:
  explicit SkipSecond(Action action) : action_(action) {}
  Action before_layer(int layer, const std::vector<Sequence>&, Rows) override {
    return layer == 1 ? action_ : Action::run;
  }

 private:
  Action action_;
};

TEST_CASE_METHOD(Fixture, "a pass control skips layers and stops", "[model]") {
  Hooks hooks(model), quiet(model);
  quiet.weight("model.layers.1.*_proj", [](const Parameter&, Rows w) { scale(w, 0); });
  hooks.control(std::make_shared<SkipSecond>(PassControl::Action::skip));
  CHECK(output(hooks) == output(quiet));  // a layer with zero weights adds nothing
  hooks.control(std::make_shared<SkipSecond>(PassControl::Action::stop));
  CHECK(output(hooks) == output(quiet));
  CHECK_THROWS_WITH(backward(hooks, spans, test_threads()), contains("pass control"));
}

TEST_CASE_METHOD(Fixture, "weights and rows begin cache lines", "[model]") {
  const auto begins_line = [](const float* values) { return reinterpret_cast<std::uintptr_t>(values) % 64 == 0; };
  for (std::size_t i = 0; i < model.parameters().size(); ++i)
    if (model.has_parameter(i)) CHECK(begins_line(model.data(i)));
  for (const std::size_t columns : {1, 17, 1000, 1000000})  // small blocks of the allocator and pages of their own
    CHECK(begins_line(Matrix(1, columns).data()));
}

TEST_CASE_METHOD(Fixture, "any parameter can be replaced, a tied head on its own", "[model]") {
  Hooks hooks(model);
  scale(hooks.parameter("lm_head.weight"), 3);
  CHECK(hooks.data(model.embedding()) == model.data(model.embedding()));
  const PassResult pass = forward(hooks, spans, test_threads());
  const auto expected = Expected("smollm").values("logits");
  auto logits = all_logits(hooks, pass);
  for (float& value : logits) value /= 3;
  CHECK(max_error(logits, expected) <= 1e-5);
  CHECK(hooks.parameter("model.norm.weight").columns == model.config().hidden);
  CHECK_THROWS_WITH(hooks.parameter("model.norm.weigth"), contains("model.norm.weight"));
}

TEST_CASE_METHOD(Fixture, "globs that match nothing are errors that name the nearest", "[model]") {
  Hooks hooks(model);
  CHECK_THROWS_WITH(hooks.replace("model.layers.0.self_attn.q_proj.inputs", map([](const Tensor&, Rows) {})),
                    contains("matches no tensor") && contains("model.layers.0.self_attn.q_proj.input"));
  CHECK_THROWS_WITH(hooks.weight("*.up", [](const Parameter&, Rows) {}), contains("matches no linear layer"));
  CHECK_THROWS_WITH(hooks.attention("model.layers.2", nullptr), contains("model.layers.0 to model.layers.1"));
}

// x -> x P on the input, W -> W P on the weight, for the permutation that reverses the channels: same function, and the
// gradient comes back through the map.
class Reverse : public TensorMap {
 public:
  void apply(const Tensor&, Rows rows) override { reverse(rows); }
  void backward(const Tensor&, Rows gradient) override { reverse(gradient); }
  static void reverse(Rows rows) {
    for (std::size_t t = 0; t < rows.rows; ++t) std::reverse(rows.row(t), rows.row(t) + rows.columns);
  }
};

TEST_CASE_METHOD(Fixture, "gradients pass through maps by their backward()", "[model]") {
  const std::string site = GENERATE("gate_proj", "q_proj", "down_proj", "o_proj");
  const auto gradient_below = [&](Hooks& hooks) {
    std::vector<float> out;
    hooks.observe("model.layers.0.self_attn.v_proj.output_gradient", [&](const Tensor&, ConstRows rows) {
      const auto piece = values(rows);
      out.insert(out.end(), piece.begin(), piece.end());
    });
    backward(hooks, spans, test_threads());
    return out;
  };
  Hooks plain(model), hooks(model);
  hooks.replace("*." + site + ".input", std::make_shared<Reverse>());
  hooks.weight("*." + site, [](const Parameter&, Rows w) { Reverse::reverse(w); });
  CHECK(norm_error(gradient_below(hooks), gradient_below(plain)) <= 1e-5);
}

}  // namespace
}  // namespace lowbit::test
