// Generation: what a step control sees and may change, and a pass control at work on a cache.
#include "sim/model/generate.hpp"

#include <algorithm>
#include <cmath>

#include "formats/error.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

struct Generation {
  Model model = Model::load(family_folder("smollm"), test_threads());
  Hooks plain{model};
  std::vector<std::int32_t> prompt{5, 17, 42, 3};

  std::vector<std::int32_t> run(const Hooks& hooks, std::size_t tokens, StepControl* control = nullptr,
                                KvCache* cache = nullptr) {
    const auto own = hooks.make_cache();
    GenerateOptions options;
    options.max_tokens = tokens;
    return generate(hooks, cache != nullptr ? *cache : *own, prompt, options, test_threads(), control);
  }
  /// The second of the two layers adds nothing: x + 0 = x.
  Hooks without_second_layer() {
    Hooks hooks(model);
    const auto zero = [](const Parameter&, Rows w) { std::fill_n(w.data, w.rows * w.columns, 0.0f); };
    hooks.weight("model.layers.1.self_attn.o_proj", zero);
    hooks.weight("model.layers.1.mlp.down_proj", zero);
    return hooks;
  }
  /// Other weights: what a lower precision would be.
  Hooks coarse() {
    Hooks hooks(model);
    hooks.weight("*_proj", [](const Parameter&, Rows w) {
      for (std::size_t i = 0; i < w.rows * w.columns; ++i) w.data[i] = std::round(w.data[i] * 8) / 8;
    });
    return hooks;
  }
  /// The loop of generate() written out: hooks_of(step) runs the pass of that step on one cache.
  template <class HooksOf>
  std::vector<std::int32_t> by_hand(std::size_t steps, HooksOf hooks_of) {
    const auto cache = plain.make_cache();
    std::vector<std::int32_t> tokens = prompt, out;
    for (std::size_t step = 0; step < steps; ++step) {
      const TokenSpan span{tokens, cache.get()};
      const Hooks& hooks = hooks_of(step);
      const Matrix logits = last_logits(hooks, forward(hooks, {&span, 1}, test_threads()), test_threads());
      out.push_back(
          static_cast<std::int32_t>(std::max_element(logits.data(), logits.data() + logits.columns()) - logits.data()));
      tokens = {out.back()};
    }
    return out;
  }
};

struct Recorder : StepControl {
  std::vector<std::size_t> steps, lengths;
  std::vector<std::int64_t> positions;
  std::int32_t forced = -1;
  std::size_t stop_at = 1000;
  const Hooks* late = nullptr;
  std::size_t late_from = 1000;

  const Hooks& hooks(const Step& step, const Hooks& usual) override {
    steps.push_back(step.index);
    positions.push_back(step.position);
    lengths.push_back(step.tokens.size());
    return step.index >= late_from ? *late : usual;
  }
  bool logits(const Step& step, std::span<float> values) override {
    CHECK(step.position == positions.back());
    if (forced >= 0) values[static_cast<std::size_t>(forced)] = 1e6f;
    return step.index < stop_at;
  }
};

TEST_CASE_METHOD(Generation, "a step control sees each step, changes logits and ends the text", "[model]") {
  Recorder control;
  control.forced = 7;
  control.stop_at = 3;
  CHECK(run(plain, 10, &control) == std::vector<std::int32_t>{7, 7, 7});
  CHECK(control.steps == std::vector<std::size_t>{0, 1, 2, 3});
  CHECK(control.positions == std::vector<std::int64_t>{4, 5, 6, 7});  // a prompt of four: the first prediction is at 4
  CHECK(control.lengths == std::vector<std::size_t>{4, 5, 6, 7});
  Recorder at_once;
  at_once.stop_at = 0;
  CHECK(run(plain, 10, &at_once).empty());
}

TEST_CASE_METHOD(Generation, "a step control changes the precision from a step on, on one cache", "[model]") {
  const Hooks late = coarse();
  Recorder control;
  control.late = &late;
  control.late_from = 3;
  const auto mixed = run(plain, 12, &control);
  CHECK(mixed == by_hand(12, [&](std::size_t step) -> const Hooks& { return step < 3 ? plain : late; }));
  CHECK(run(plain, 12) == by_hand(12, [&](std::size_t) -> const Hooks& { return plain; }));
  CHECK(mixed != run(plain, 12));
  CHECK(mixed != run(late, 12));
}

class AtSecond : public PassControl {
 public:
  explicit AtSecond(Action action) : action_(action) {}
  Action before_layer(int layer, const std::vector<Sequence>&, Rows) override {
    return layer == 1 ? action_ : Action::run;
  }

 private:
  Action action_;
};

TEST_CASE_METHOD(Generation, "skipped layers and early stops add nothing and store nothing", "[model]") {
  const auto expected = run(without_second_layer(), 8);
  REQUIRE(expected != run(plain, 8));
  for (const auto action : {PassControl::Action::skip, PassControl::Action::stop}) {
    Hooks hooks(model);
    hooks.control(std::make_shared<AtSecond>(action));
    const auto cache = hooks.make_cache(), whole = plain.make_cache();
    CHECK(run(hooks, 8, nullptr, cache.get()) == expected);
    run(plain, 8, nullptr, whole.get());
    CHECK(cache->next_position() == whole->next_position());
    CHECK(2 * cache->bytes() == whole->bytes());
  }
}

TEST_CASE_METHOD(Generation, "a layer that runs again later finds the tokens that it saw", "[model]") {
  Hooks skipping(model);
  skipping.control(std::make_shared<AtSecond>(PassControl::Action::skip));
  Recorder control;
  control.late = &skipping;
  control.late_from = 2;
  const auto mixed = run(plain, 6, &control);
  CHECK(mixed == by_hand(6, [&](std::size_t step) -> const Hooks& { return step < 2 ? plain : skipping; }));
  Recorder back;
  back.late = &plain;
  back.late_from = 2;
  const auto backwards = run(skipping, 6, &back);  // from step 2 on layer 1 has the tokens from there on alone
  CHECK(backwards == by_hand(6, [&](std::size_t step) -> const Hooks& { return step < 2 ? skipping : plain; }));
}

}  // namespace
}  // namespace lowbit::test
