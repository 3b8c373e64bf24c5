// One text in one piece, in pieces, token by token, in a batch, with any number of threads.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sim/model/quantised_sites.hpp"
#include "tests/sim/model/support.hpp"
#include "tests/support/temporary_folder.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

struct Text {
  Expected expected;
  std::vector<std::int32_t> tokens;
  Model model;
  explicit Text(const std::string& family)
      : expected(family), tokens(expected.tokens()), model(Model::load(family_folder(family), test_threads())) {
    tokens.resize(kTextLength);
  }
  std::span<const std::int32_t> part(std::size_t first, std::size_t count) const {
    return std::span(tokens).subspan(first, count);
  }
};

// Logits of the text given to one cache in pieces of these lengths.
std::vector<float> logits_in_pieces(const Text& text, const Hooks& hooks, const std::vector<std::size_t>& lengths) {
  const auto cache = hooks.make_cache();
  std::vector<float> all;
  std::size_t first = 0;
  for (const std::size_t length : lengths) {
    const TokenSpan span{text.part(first, length), cache.get()};
    const PassResult pass = forward(hooks, {&span, 1}, test_threads());
    const auto logits = all_logits(hooks, pass);
    all.insert(all.end(), logits.begin(), logits.end());
    first += length;
  }
  CHECK(cache->next_position() == static_cast<std::int64_t>(kTextLength));
  return all;
}

TEST_CASE("prefill in one piece, in pieces and token by token agree", "[model]") {
  const std::string family = GENERATE(from_range(families()));
  CAPTURE(family);
  const Text text(family);
  const Hooks hooks(text.model);
  const TokenSpan whole{text.tokens, nullptr};
  const auto expected = all_logits(hooks, forward(hooks, {&whole, 1}, test_threads()));
  CHECK(max_error(logits_in_pieces(text, hooks, {12}), expected) <= 1e-5);
  CHECK(max_error(logits_in_pieces(text, hooks, {5, 1, 6}), expected) <= 1e-5);
  CHECK(max_error(logits_in_pieces(text, hooks, std::vector<std::size_t>(12, 1)), expected) <= 1e-5);
}

TEST_CASE("the plain cache returns what it was given, however often it grows", "[model]") {
  constexpr std::size_t kLayers = 2, kHeads = 3, kDim = 5, kWidth = kHeads * kDim;
  PlainCache cache(kLayers, kHeads, kDim);
  const auto value = [](std::size_t layer, std::size_t token, std::size_t c, bool key) {
    return static_cast<float>(layer * 1000000 + token * 100 + c) + (key ? 0.5f : 0.0f);
  };
  std::size_t tokens = 0;
  for (const std::size_t count : {3, 1, 1, 400, 1, 700, 1}) {
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      Matrix k(count, kWidth), v(count, kWidth);
      std::vector<std::int64_t> positions;
      for (std::size_t t = 0; t < count; ++t) {
        positions.push_back(static_cast<std::int64_t>(tokens + t));
        for (std::size_t c = 0; c < kWidth; ++c) {
          k.view().row(t)[c] = value(layer, tokens + t, c, true);
          v.view().row(t)[c] = value(layer, tokens + t, c, false);
        }
      }
      cache.append({static_cast<int>(layer), positions.data(), k, k, k, v});
    }
    tokens += count;
    bool equal = true;
    for (std::size_t layer = 0; layer < kLayers; ++layer)
      for (std::size_t head = 0; head < kHeads; ++head) {
        const KeyValues kv = cache.read(static_cast<int>(layer), head);
        REQUIRE(kv.k.rows == tokens);
        REQUIRE(kv.v.rows == tokens);
        for (std::size_t t = 0; t < tokens; ++t) {
          equal = equal && kv.positions[t] == static_cast<std::int64_t>(t);
          for (std::size_t d = 0; d < kDim; ++d)
            equal = equal && kv.k.row(t)[d] == value(layer, t, head * kDim + d, true) &&
                    kv.v.row(t)[d] == value(layer, t, head * kDim + d, false);
        }
      }
    CHECK(equal);
    CHECK(cache.next_position() == static_cast<std::int64_t>(tokens));
    CHECK(cache.bytes() == kLayers * 2 * tokens * kWidth * sizeof(float));
  }
}

TEST_CASE("a sequence does not notice the others of its batch", "[model]") {
  const Text text("llama3");
  const Hooks hooks(text.model);
  const TokenSpan alone{text.tokens, nullptr};
  const auto expected = all_logits(hooks, forward(hooks, {&alone, 1}, test_threads()));
  const std::vector<TokenSpan> spans = {{text.part(0, 3), nullptr}, {text.tokens, nullptr}, {text.part(4, 8), nullptr}};
  const auto logits = all_logits(hooks, forward(hooks, spans, test_threads()));
  const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(3 * text.model.config().vocabulary);
  CHECK(max_error({begin, begin + static_cast<std::ptrdiff_t>(expected.size())}, expected) <= 1e-5);
}

TEST_CASE("the bits do not depend on the number of threads", "[model]") {
  const Text text("qwen3");
  Hooks hooks(text.model);
  std::vector<std::vector<float>> logits, gradients;
  std::vector<float> seen;
  hooks.observe("*_gradient", [&](const Tensor&, ConstRows rows) {
    const auto piece = values(rows);
    seen.insert(seen.end(), piece.begin(), piece.end());
  });
  // long enough for several tiles of rows
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 60; ++i) tokens.push_back(text.tokens[static_cast<std::size_t>(i * 7 % 12)]);
  const std::vector<TokenSpan> spans(5, TokenSpan{tokens, nullptr});
  for (const std::size_t count : {1, 2, 3, 5}) {
    Threads threads(count);
    const PassResult pass = forward(hooks, spans, threads);
    logits.push_back(values(pass.output));
    seen.clear();
    backward(hooks, spans, threads);
    gradients.push_back(seen);
  }
  for (std::size_t i = 1; i < logits.size(); ++i) {
    CHECK(logits[i] == logits[0]);
    CHECK(gradients[i] == gradients[0]);
  }
}

TEST_CASE("weights in the file, copied later or at once, give the same bits", "[model]") {
  const std::string family = GENERATE(from_range(families()));
  CAPTURE(family);
  const Text text(family);
  Model mapped = Model::load(family_folder(family), test_threads(), Weights::mapped);
  const Hooks copied_hooks(text.model), hooks(mapped);
  const auto logits = [&](const Hooks& h) {
    const TokenSpan span{text.tokens, nullptr};
    return all_logits(h, forward(h, {&span, 1}, test_threads()));
  };
  const auto expected = logits(copied_hooks);
  const std::size_t weight = mapped.weight(1, Linear::up_proj);
  const float* in_file = mapped.data(weight);
  CHECK(logits(hooks) == expected);
  mapped.copy_weights(test_threads());
  // float32 alone stays in the file, the other types are converted when they are loaded
  CHECK((mapped.data(weight) != in_file) == (family == "qwen3"));
  CHECK(hooks.data(weight) == mapped.data(weight));
  CHECK(*in_file == *mapped.data(weight));
  CHECK(logits(hooks) == expected);
  const float* copy = mapped.data(weight);
  mapped.copy_weights(test_threads());
  CHECK(mapped.data(weight) == copy);
}

TEST_CASE("weights that do not lie as floats do are copied", "[model]") {
  const std::string folder = family_folder("qwen3");
  std::ifstream file(folder + "/model.safetensors", std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes.insert(sizeof header + header, " ");  // white space is allowed behind the header
  ++header;
  std::memcpy(bytes.data(), &header, sizeof header);
  const TemporaryFolder odd;
  odd.file("model.safetensors", bytes);
  std::filesystem::copy(folder + "/config.json", odd / "config.json");
  const Model expected = Model::load(folder, test_threads()),
              model = Model::load(odd.path(), test_threads(), Weights::mapped);
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    if (!model.has_parameter(i)) continue;
    CHECK(reinterpret_cast<std::uintptr_t>(model.data(i)) % alignof(float) == 0);
    const std::size_t size = model.parameters()[i].rows * model.parameters()[i].columns;
    CHECK(std::equal(model.data(i), model.data(i) + size, expected.data(i)));
  }
}

TEST_CASE("passes refuse what cannot be computed", "[model]") {
  const Text text("llama3");
  const Hooks hooks(text.model);
  const auto run = [&](std::vector<std::int32_t> tokens) {
    const TokenSpan span{tokens, nullptr};
    forward(hooks, {&span, 1}, test_threads());
  };
  CHECK_THROWS_WITH(run({}), contains("has no tokens"));
  CHECK_THROWS_WITH(run({3, 96}), contains("token 96 at place 1") && contains("vocabulary of 96"));
  CHECK_THROWS_WITH(run({-1}), contains("token -1 at place 0"));
  CHECK_THROWS_WITH(run(std::vector<std::int32_t>(65, 1)), contains("65 tokens") && contains("context of 64"));
  const auto cache = hooks.make_cache();
  const std::vector<std::int32_t> full(64, 1), one(1, 1);
  const TokenSpan first{full, cache.get()}, beyond{one, cache.get()};
  forward(hooks, {&first, 1}, test_threads());
  CHECK_THROWS_WITH(forward(hooks, {&beyond, 1}, test_threads()), contains("65 tokens"));
}

TEST_CASE("a quantised cache holds the same values however its tokens arrive", "[model]") {
  const Text text("llama3");
  const Config& c = text.model.config();
  Hooks hooks(text.model);
  SiteOptions options;
  options.kv = "e2m1:g8:s=e4m3:round=sr";
  options.kv_transform = "rhad:16:seed=3";
  attach(hooks, options, test_threads());
  const std::size_t width = c.kv_heads * c.head_dim;
  Matrix k(20, width), v(20, width);
  for (std::size_t i = 0; i < 20 * width; ++i)
    k.data()[i] = std::sin(static_cast<float>(i)), v.data()[i] = std::cos(3.0f * static_cast<float>(i));
  std::vector<std::int64_t> positions(20);
  for (std::size_t i = 0; i < 20; ++i) positions[i] = static_cast<std::int64_t>(i);
  const auto stored = [&](const std::vector<std::size_t>& lengths) {
    const auto cache = hooks.make_cache();
    std::size_t first = 0;
    for (const std::size_t n : lengths) {
      cache->append({1, positions.data() + first, {}, {}, k.view().slice(first, n), v.view().slice(first, n)});
      first += n;
    }
    std::vector<float> all;
    for (std::size_t head = 0; head < c.kv_heads; ++head)
      for (const ConstRows rows : {cache->read(1, head).k, cache->read(1, head).v}) {
        const auto piece = values(rows);
        all.insert(all.end(), piece.begin(), piece.end());
      }
    CHECK(cache->bytes() == 20 * width * 2 * 5 / 8);  // 4 bits and one byte of scale for 8 values
    return all;
  };
  const auto once = stored({20});
  CHECK(once != values(k.view()));
  CHECK(stored({7, 1, 12}) == once);
  CHECK(stored(std::vector<std::size_t>(20, 1)) == once);
}

}  // namespace
}  // namespace lowbit::test
