// Formats at sites: equal to quantising the operands by hand; what is refused.
#include "sim/model/quantised_sites.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "formats/error.hpp"
#include "formats/random.hpp"
#include "sim/model/product.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

struct Fixture {
  Model model = Model::load(family_folder("llama3"), test_threads());
  std::vector<std::int32_t> tokens = Expected("llama3").tokens();
  std::vector<TokenSpan> spans = batch(tokens);

  std::vector<float> output(const SiteOptions& options) {
    Hooks hooks(model);
    attach(hooks, options, test_threads());
    return values(forward(hooks, spans, test_threads()).output);
  }
  // Tensors of a pass, the rows of both texts one after the other.
  std::vector<float> seen(Hooks& hooks, const std::string& site) {
    std::vector<float> out;
    hooks.observe(site, [&](const Tensor&, ConstRows rows) {
      const auto piece = values(rows);
      out.insert(out.end(), piece.begin(), piece.end());
    });
    forward(hooks, spans, test_threads());
    return out;
  }
  std::string error(const SiteOptions& options) {
    Hooks hooks(model);
    try {
      attach(hooks, options, test_threads());
    } catch (const Error& e) {
      for (std::size_t i = 0; i < model.parameters().size(); ++i) CHECK_FALSE(hooks.replaced(i));  // before any work
      return e.what();
    }
    return "";
  }
};

SiteOptions with(const std::string& weights, const std::string& activations, const std::string& transform = "id") {
  SiteOptions options;
  options.weights = weights;
  options.activations = activations;
  options.transform = transform;
  return options;
}

TEST_CASE_METHOD(Fixture, "x and W are quantised along the input features, each text as one tensor", "[model]") {
  const std::string format = GENERATE("mxfp4", "nvfp4", "int8:channel", "int6:g32:s=fp16:asym", "e4m3:tensor");
  const std::string transform = GENERATE("id", "had:8", "rhad:16:seed=4");
  CAPTURE(format, transform);
  Hooks plain(model), hooks(model);
  attach(hooks, with(format, format, transform), test_threads());
  const std::string name = "model.layers.0.self_attn.k_proj";
  auto x = seen(plain, "model.layers.0.self_attn.input");
  const auto y = seen(hooks, name + ".output");
  const Format f = parse_format(format);
  const auto rotation = parse_transform(transform, stream_of(name));
  std::vector<float> w(32 * 64);
  std::copy_n(model.data(model.weight(0, Linear::k_proj)), w.size(), w.begin());
  apply(*rotation, Layout::matrix(32, 64), w.data(), w.data());
  fake_quantize_ref(f, Layout::matrix(32, 64), w.data(), w.data());
  for (const std::size_t text : {0, 1}) {
    float* own = x.data() + text * kTextLength * 64;
    apply(*rotation, Layout::matrix(kTextLength, 64), own, own);
    fake_quantize_ref(f, Layout::matrix(kTextLength, 64), own, own);
  }
  Matrix expected(2 * kTextLength, 32);
  multiply({{x.data(), 2 * kTextLength, 64}, {w.data(), 32, 64}, expected}, test_threads());
  CHECK(y == values(expected.view()));
}

TEST_CASE_METHOD(Fixture, "rotating both operands without rounding keeps the model", "[model]") {
  const auto plain = output({});
  SiteOptions options = with("fp32", "fp32", "had:16");
  const auto rotated = output(options);
  CHECK(rotated != plain);
  CHECK(max_error(rotated, plain) <= 1e-5);
}

TEST_CASE_METHOD(Fixture, "rules choose modules and sites, the last one wins", "[model]") {
  Hooks hooks(model), none(model);
  SiteOptions options = with("mxfp4", "");
  options.sites = {"model.layers.1.*.weight=none", "model.layers.1.mlp.up_proj.weight=nvfp4"};
  attach(hooks, options, test_threads());
  for (const Parameter& p : model.parameters()) {
    const std::size_t i = static_cast<std::size_t>(&p - model.parameters().data());
    const bool expected =
        p.linear >= 0 && p.linear < kLinears && (p.layer == 0 || p.linear == static_cast<int>(Linear::up_proj));
    CAPTURE(p.name);
    CHECK(hooks.replaced(i) == expected);
  }
  options.include_lm_head = true;
  options.skip_layers = {0};
  Hooks head(model);
  attach(head, options, test_threads());
  CHECK(head.replaced(model.lm_head()));
  CHECK_FALSE(head.replaced(model.weight(0, Linear::q_proj)));
  options.sites = {"*.weight=none", "*.input=none"};
  attach(none, options, test_threads());
  for (std::size_t i = 0; i < model.parameters().size(); ++i) CHECK_FALSE(none.replaced(i));
}

TEST_CASE_METHOD(Fixture, "keys and values are quantised per token and head", "[model]") {
  SiteOptions options;
  options.kv = "int4:g16:s=fp16";
  options.sites = {"model.layers.0.self_attn.k=none"};
  Hooks hooks(model), plain(model);
  const SiteSummary summary = attach(hooks, options, test_threads());
  CHECK(summary.bits_kv == Approx((32 + 5 + 5 + 5) / 4.0));
  const auto v = seen(plain, "model.layers.0.self_attn.v");
  const auto cache = hooks.make_cache();
  const TokenSpan span{spans[0].tokens, cache.get()};
  forward(hooks, {&span, 1}, test_threads());
  std::vector<float> expected(v.begin(), v.begin() + kTextLength * 32);
  fake_quantize_ref(parse_format(options.kv), Layout::matrix(kTextLength * 2, 16), expected.data(), expected.data());
  const auto first = values(cache->read(0, 0).v), second = values(cache->read(0, 1).v);
  for (std::size_t t = 0; t < kTextLength; ++t)
    for (std::size_t c = 0; c < 16; ++c) {
      CHECK(first[t * 16 + c] == expected[t * 32 + c]);
      CHECK(second[t * 16 + c] == expected[t * 32 + 16 + c]);
    }
}

TEST_CASE_METHOD(Fixture, "static maxima are those that a first pass has shown", "[model]") {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("lowbit-maxima-{}.json", getpid())).string();
  Maxima maxima;
  Hooks first(model), second(model), dynamic(model);
  attach(first, with("", "nvfp4", "had:16"), test_threads(), &maxima);
  const std::vector<TokenSpan> one = {spans[0]};
  const auto shown = values(forward(first, one, test_threads()).output);
  std::ofstream(path) << to_json(maxima);
  CHECK(maxima.size() == 2 * kLinears);
  SiteOptions options = with("", "nvfp4:ts=static:" + path, "had:16");
  options.kv = "e2m1:g16:s=e4m3:ts=static:" + path;
  CHECK_THAT(error(options), contains("no maximum of model.layers.0.self_attn.k"));
  options.kv = "";
  attach(second, options, test_threads());
  CHECK(values(forward(second, one, test_threads()).output) == shown);  // one text: its own maxima
  attach(dynamic, with("", "nvfp4", "had:16"), test_threads());
  CHECK(values(forward(second, spans, test_threads()).output) !=
        values(forward(dynamic, spans, test_threads()).output));
  std::filesystem::remove(path);
}

TEST_CASE("maxima that no float32 holds are refused", "[model]") {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("lowbit-maxima-{}.json", getpid())).string();
  for (const char* text :
       {"{\"a\": 1e300}", "{\"a\": 3.5e38}", "{\"a\": -1}", "{\"a\": null}", "{\"a\": \"1\"}", "[1]"}) {
    std::ofstream(path) << text;
    CHECK_THROWS_AS(read_maxima(path), Error);
  }
  std::ofstream(path) << "{\"a\": 3.4028234e38, \"b\": 0}";
  CHECK(read_maxima(path) == Maxima{{"a", 3.4028234e38f}, {"b", 0.0f}});
  std::filesystem::remove(path);
}

TEST_CASE_METHOD(Fixture, "bits and ragged groups are stated", "[model]") {
  Hooks hooks(model);
  SiteOptions options = with("mxfp4", "e2m1:g48:s=e8m0");
  const SiteSummary summary = attach(hooks, options, test_threads());
  // weights: 64 and 80 columns in groups of 32: q 64x64, k and v 32x64, o 64x64, gate and up 80x64, down 64x80
  const double values = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 80 * 64;
  CHECK(summary.bits_weight == Approx(4 + 8 * ((64 + 64 + 64 + 160) * 2 + 64 * 3) / values));
  CHECK(summary.bits_activation == Approx(4 + 8.0 * 2 * 7 / (6 * 64 + 80)));
  CHECK(summary.bits_kv == 32);
  // a channel is a row of a weight, a token's values, or those of one of its heads; a tensor is the weight or a window
  Hooks channels(model);
  const SiteSummary wide = attach(channels, with("int8:channel:s=fp16:asym", "int4:channel:s=fp16"), test_threads());
  CHECK(wide.bits_weight == Approx(8 + (16 + 8) * (64 + 2 * 32 + 64 + 2 * 80 + 64) / values));
  CHECK(wide.bits_activation == Approx(4 + 16.0 * 7 / (6 * 64 + 80)));
  Hooks tensors(model);
  SiteOptions flat = with("e4m3:tensor", "e4m3:tensor");
  flat.kv = "int4:channel:s=fp16";
  const SiteSummary flats = attach(tensors, flat, test_threads());
  CHECK(flats.bits_weight == Approx(8 + 32.0 * 7 / values));
  CHECK(flats.bits_activation == 8);
  CHECK(flats.bits_kv == 5);
  SiteOptions ragged;
  ragged.kv = "e2m1:g12:s=e8m0";  // heads of 16: a group of 12 and one of 4, each with its scale
  Hooks cached(model);
  CHECK(attach(cached, ragged, test_threads()).bits_kv == 4 + 8.0 * 2 / 16);
  const auto cache = cached.make_cache();
  const std::vector<TokenSpan> one = {{spans[0].tokens, cache.get()}};
  forward(cached, one, test_threads());
  const std::size_t values_kept = 2 * model.config().layers * spans[0].tokens.size() * model.config().kv_heads * 16;
  CHECK(cache->bytes() == values_kept * 5 / 8);
  REQUIRE(summary.warnings.size() == 3);  // 80 in groups of 32; 64 and 80 in groups of 48
  bool named = false;
  for (const std::string& warning : summary.warnings)
    named = named || (warning.find("down_proj.weight") != std::string::npos &&
                      warning.find("80 values in groups of 32 leave a last group of 16") != std::string::npos);
  CHECK(named);
}

TEST_CASE_METHOD(Fixture, "wrong rules are refused before any weight is touched", "[model]") {
  const auto site = [](const std::string& rule) {
    SiteOptions options = with("mxfp4", "");
    options.sites = {rule};
    return options;
  };
  const auto kv = [](const std::string& format, const std::string& transform = "id") {
    SiteOptions options = with("mxfp4", "");
    options.kv = format;
    options.kv_transform = transform;
    return options;
  };
  CHECK_THAT(error(with("mxfp5", "")), contains("mxfp5"));
  CHECK_THAT(error(site("*.up.weight=nvfp4")), contains("'*.up' matches no module"));
  CHECK_THAT(error(site("*.up_proj.wight=nvfp4")),
             contains("unknown site 'wight'") && contains("accepted: weight, input"));
  CHECK_THAT(error(site("up_proj")), contains("expected PATTERN.SITE=FORMAT"));
  CHECK_THAT(error(site("*.down_proj.input=")), contains("no format"));
  CHECK_THAT(error(with("mxfp4", "mxfp4", "had:64")), contains("64") && contains("80"));
  CHECK_THAT(error(kv("nvfp4")), contains("ts=none or ts=static"));
  CHECK_THAT(error(kv("int8:tensor")), contains("groups over several tokens"));
  CHECK_THAT(error(kv("mxfp4", "had:32")), contains("16"));
  CHECK_THAT(error(kv("", "had:16")), contains("--kv-transform had:16") && contains("neither keys nor values"));
  CHECK_THAT(error(kv("", "nonsense")), contains("nonsense"));
  CHECK_THAT(error(with("", "", "had:16")), contains("--transform had:16") && contains("no linear layer"));
  CHECK_THAT(error(with("", "", "nonsense")), contains("nonsense"));
  CHECK_THAT(error(with("nvfp4:ts=static", "")), contains("needs a file"));
  CHECK_THAT(error(with("nvfp4:ts=static:/nonexistent.json", "")), contains("/nonexistent.json"));
  SiteOptions skipped = with("mxfp4", "");
  skipped.skip_layers = {2};
  CHECK_THAT(error(skipped), contains("layers are 0 to 1"));
}

}  // namespace
}  // namespace lowbit::test
