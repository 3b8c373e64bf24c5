// Every family against transformers and torch: logits, hidden states, keys, values, losses, all gradients.
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

constexpr double kTolerance = 1e-5;

// Rows of an observed tensor over the sequences of a pass, in order.
using Record = std::map<std::string, std::vector<float>>;

void record(Hooks& hooks, const std::string& glob, Record& into) {
  hooks.observe(glob, [&into](const Tensor& tensor, ConstRows rows) {
    const auto piece = values(rows);
    auto& all = into[tensor.site.name];
    all.insert(all.end(), piece.begin(), piece.end());
  });
}

TEST_CASE("the forward pass equals transformers for every family", "[model]") {
  const std::string family = GENERATE(from_range(families()));
  CAPTURE(family);
  const Expected expected(family);
  const Model model = Model::load(family_folder(family), test_threads());
  Hooks hooks(model);
  Record seen;
  record(hooks, "*", seen);
  const auto tokens = expected.tokens();
  const auto spans = batch(tokens);
  const PassResult pass = forward(hooks, spans, test_threads());
  CHECK(max_error(all_logits(hooks, pass), expected.values("logits")) <= kTolerance);
  int compared = 0;
  for (const auto& [name, tensor] : expected.all()) {
    if (name.ends_with("gradient") || !name.starts_with("model.")) continue;
    CAPTURE(name);
    CHECK(max_error(seen[name], tensor.load_float()) <= kTolerance);
    ++compared;
  }
  CHECK(compared == 7);  // residual stream, K and V of two layers, and the final norm
}

TEST_CASE("losses and all gradients equal torch for every family", "[model]") {
  const std::string family = GENERATE(from_range(families()));
  CAPTURE(family);
  const Expected expected(family);
  const Model model = Model::load(family_folder(family), test_threads());
  Hooks hooks(model);
  Record seen;
  record(hooks, "*_gradient", seen);
  const auto tokens = expected.tokens();
  const LossResult result = backward(hooks, batch(tokens), test_threads());
  const auto losses = expected.values("token_losses");
  REQUIRE(result.token_losses.size() == losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i)
    CHECK(result.token_losses[i] == Approx(losses[i]).epsilon(kTolerance));
  int compared = 0;
  for (const auto& [name, tensor] : expected.all()) {
    if (!name.ends_with("gradient")) continue;
    CAPTURE(name);
    const auto ours = seen[name];
    CHECK(norm_error(ours, tensor.load_float()) <= kTolerance);
    ++compared;
  }
  CHECK(compared ==
        2 * kLinears * 3 + (family == "smollm" ? 2 : 3));  // lm_head; a tied weight's share is not told apart
}

}  // namespace
}  // namespace lowbit::test
