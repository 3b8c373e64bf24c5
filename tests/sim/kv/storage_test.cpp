// Storage: packed blocks hold what the formats decode to, verbs keep slots and bytes straight, and the five methods of
// kv.hpp can be said in its words.
#include "formats/block.hpp"
#include "formats/error.hpp"
#include "tests/sim/kv/support.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using namespace lowbit::kv;
using namespace lowbit::test;

namespace {

std::shared_ptr<const GroupCodec> codec(const std::string& format, GroupAxis axis) {
  return std::make_shared<GroupCodec>(parse_format(format), axis);
}

}  // namespace

TEST_CASE("a packed block decodes to the bits of fake_quantize, whatever the format and axis", "[kv]") {
  for (const char* format : {"int2:g16:min:s=fp16:z=fp16", "int3:g32:min:s=fp16", "int4:g128:min:s=fp16",
                             "int8:g64:min:s=fp16", "int5:g16:min:s=bf16", "int4:g32:s=fp16", "int4:g32:s=fp16:asym",
                             "mxfp4", "e2m1:g16:s=e4m3", "mxint8", "nvint4:ts=none", "nf4:g64"}) {
    for (const GroupAxis axis : {GroupAxis::channel, GroupAxis::token}) {
      CAPTURE(format, to_string(axis));
      const GroupCodec own(parse_format(format), axis);
      const std::size_t rows = axis == GroupAxis::channel ? own.granule() : 21;
      auto x = random_rows(rows, 80);  // 80: ragged token groups
      x.data()[3] = 0.0f, x.data()[4] = -0.0f, x.data()[5] = 1e-30f, x.data()[6] = 6e4f;
      for (std::size_t i = 0; i < rows; ++i) x.data()[i * 80 + 9] = 0.25f;  // a constant channel
      const auto block = own.seal(x);
      model::Matrix y(rows, 80), part(rows - 2, 80);
      block->decode(0, y);
      CHECK(same_bits(y.view(), own.round_trip(x).view()));
      block->decode(1, part);  // from the middle
      CHECK(same_bits(part.view(), y.view().slice(1, rows - 2)));
    }
  }
}

TEST_CASE("bytes of packed blocks are those of codes and scales", "[kv]") {
  const auto x = random_rows(128, 64);
  const Bytes channel = codec("int2:g128:min:s=fp16", GroupAxis::channel)->seal(x)->bytes();
  CHECK(channel.codes == 128 * 64 * 2 / 8);
  CHECK(channel.scales == 64 * 4);
  const Bytes token = codec("int3:g64:min:s=fp16", GroupAxis::token)->seal(x)->bytes();
  CHECK(token.codes == 128 * 64 * 3 / 8);
  CHECK(token.scales == 128 * 4);
  const Bytes mx = codec("mxfp4", GroupAxis::token)->seal(x)->bytes();
  CHECK(mx.codes == 128 * 32);
  CHECK(mx.scales == 128 * 2);
}

TEST_CASE("verbs of a stream", "[kv]") {
  const auto rows = random_rows(40, 16);
  const auto positions = positions_from(0, 40);
  const auto four = codec("int4:g8:min:s=fp16", GroupAxis::channel);
  Stream stream("k", 16);
  stream.append(rows.view().slice(0, 30), positions.data());
  stream.seal(2, 16, four);  // two sinks stay open, 12 after it
  CHECK(stream.parts() == 4);
  CHECK(stream.sealed() == 16);
  stream.append(rows.view().slice(30, 10), positions.data() + 30);
  CHECK(stream.open() == 24);
  CHECK(stream.bytes().tail == 24 * 16 * 2);
  const auto all = stream.rows();
  CHECK(same_bits(all.view().slice(0, 2), rows.view().slice(0, 2)));
  CHECK(same_bits(all.view().slice(18, 22), rows.view().slice(18, 22)));
  CHECK(same_bits(all.view().slice(2, 8), four->round_trip(rows.view().slice(2, 8)).view()));
  CHECK(same_bits(stream.gather({39, 5, 0}).view().slice(1, 1), all.view().slice(5, 1)));

  SECTION("erase: open slots go, a sealed part keeps its bytes until it is empty") {
    const std::size_t codes = stream.bytes().codes;
    stream.erase(1, 4);  // one sink and three slots of the first block
    CHECK(stream.slots() == 36);
    CHECK(stream.positions()[1] == 5);
    CHECK(same_bits(stream.rows().view().slice(1, 35), all.view().slice(5, 35)));
    CHECK(stream.bytes().codes == codes);
    CHECK(stream.bytes().indices == 4 * 36);  // positions are no longer a run
    stream.erase(1, 5);
    CHECK(stream.bytes().codes == codes / 2);
    CHECK(stream.sealed() == 8);
  }
  SECTION("overwrite: open slots, or a sealed part whole") {
    const auto fresh = random_rows(8, 16, 9);
    const auto later = positions_from(40, 8);
    stream.overwrite(2, fresh.view(), later.data());
    CHECK(stream.sealed() == 8);
    CHECK(same_bits(stream.rows().view().slice(2, 8), fresh.view()));
    CHECK(stream.positions()[2] == 40);
    CHECK_THROWS_AS(stream.overwrite(11, fresh.view().slice(0, 2), later.data()), std::logic_error);
    stream.seal(2, 8, four);
    CHECK(stream.sealed() == 16);
  }
  SECTION("NaN and Inf are refused when they are sealed, by name and place") {
    auto bad = random_rows(8, 16);
    bad.data()[3 * 16 + 5] = NAN;
    const auto later = positions_from(40, 8);
    stream.append(bad.view(), later.data());
    const Refusal refusal = refusal_of([&] { stream.seal(40, 8, four); });
    CHECK(refusal.code == ExitCode::bad_data);
    CHECK(refusal.names("k: nan at position 43, channel 5"));
  }
}

TEST_CASE("equal rows give equal blocks for any chunking", "[kv]") {
  const LayerShape shape{2, 64};
  const Tokens tokens(517, shape);
  const auto rope = test_rope(64);
  const Calibration calibration{tokens.k_pre, tokens.k, tokens.v};
  for (const char* name : {"kivi", "kivi_pre", "quarot", "kvlinc", "had_channel", "per_token", "gear", "gear_l", "resq",
                           "kvquant", "kvquant_0", "raw_token+raw_channel"}) {
    std::vector<std::vector<std::uint8_t>> dumps;
    for (const std::size_t chunk : {1ul, 7ul, 128ul, 129ul}) {
      MethodOptions options;
      options.block = 128;  // of GEAR, which otherwise makes one block of a prompt
      const auto method = make_method(name, options);
      Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{method->rules(shape, &calibration)}, &rope),
                  false);
      for (std::size_t t = 0; t < 517; t += chunk)
        tokens.give(t, std::min<std::size_t>(chunk, 517 - t), [&](const auto& step) { cache.append(step); });
      cache.settle();
      std::vector<std::uint8_t> dump;
      for (const char* stream : {"k", "v"})
        for (std::size_t h = 0; h < 2; ++h) {
          const auto part = cache.storage(0).stream(stream, h).dump();
          dump.insert(dump.end(), part.begin(), part.end());
        }
      dumps.push_back(std::move(dump));
    }
    CAPTURE(name);
    REQUIRE(dumps[0].size() > 10000);
    CHECK(dumps[0] == dumps[1]);
    CHECK(dumps[0] == dumps[2]);
    CHECK(dumps[0] == dumps[3]);
  }
}

TEST_CASE("GEAR without a block size: one block of whatever is sealed at once", "[kv]") {
  const LayerShape shape{2, 64};
  const Tokens tokens(517, shape);
  const auto dump_of = [&](const char* name, std::size_t block, std::size_t chunk) {
    MethodOptions options;
    options.block = block;
    const auto rules = make_method(name, options)->rules(shape, nullptr);
    Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, nullptr), false);
    for (std::size_t t = 0; t < 517; t += chunk)
      tokens.give(t, std::min<std::size_t>(chunk, 517 - t), [&](const auto& step) { cache.append(step); });
    cache.settle();
    return cache.storage(0).stream("k", 1).dump();
  };
  for (const char* name : {"gear", "gear_l"}) {
    CAPTURE(name);
    // decoding seals the residual window at once
    CHECK(dump_of(name, 0, 1) == dump_of(name, 128, 1));
    CHECK(dump_of(name, 0, 7) == dump_of(name, 128, 517));
    // a prompt is one block: fewer factors
    CHECK(dump_of(name, 0, 517).size() < dump_of(name, 128, 517).size());
  }
}

TEST_CASE("KIVI keeps its books: 300 tokens, then 84 more, R = 128", "[kv]") {
  const LayerShape shape{1, 64};
  const Tokens tokens(384, shape);
  const auto method = make_method("kivi", {});
  Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{method->rules(shape, nullptr)}, nullptr), false);
  const auto give = [&](std::size_t first, std::size_t count) {
    tokens.give(first, count, [&](const auto& step) { cache.append(step); });
  };
  const Stream &k = cache.storage(0).stream("k"), &v = cache.storage(0).stream("v");
  give(0, 300);
  CHECK(k.sealed() == 0);  // the prompt attends unquantised
  cache.settle();
  CHECK(k.sealed() == 256);
  CHECK(k.open() == 44);
  CHECK(v.sealed() == 172);
  CHECK(v.open() == 128);
  for (std::size_t t = 300; t < 384; ++t) give(t, 1);
  CHECK(k.open() == 128);  // the last token attends before the block is sealed
  cache.settle();
  CHECK(k.sealed() == 384);
  CHECK(k.open() == 0);
  CHECK(v.sealed() == 256);
  CHECK(v.open() == 128);
}

TEST_CASE("tables count once, however many heads read them", "[kv]") {
  const LayerShape shape{3, 64};
  const Tokens tokens(200, shape), other(300, shape, 9);
  const Calibration fit{other.k_pre, other.k, other.v};
  const auto rope = test_rope(64);
  MethodOptions options;
  options.residual = 0;
  const auto held = [&](const char* method) {
    const auto rules = make_method(method, options)->rules(shape, &fit);
    Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, &rope), true);
    tokens.give(0, 200, [&](const auto& step) { cache.append(step); });
    return cache.held();
  };
  // offset and range of each token's values; levels of keys and of values as float32, once a layer; of each channel of
  // keys offset and range as float16, and where values are listed two thresholds as float32
  const std::size_t own = 3 * 200 * 4, levels = 2 * 4 * 4;
  CHECK(held("kvquant").scales == own + levels + 3 * 64 * 12);
  CHECK(held("kvquant_0").scales == own + levels + 3 * 64 * 4);
  options.group_span_layer = true;
  CHECK(held("kvquant").scales == 200 * 4 + levels + 3 * 64 * 12);
  // a basis of 64 x 64 float16 for keys and values of each head; a Hadamard matrix is not stored
  CHECK(held("resq").factors == 2 * 3 * 2 * 64 * 64);
  CHECK(held("quarot").factors == 0);
}

TEST_CASE("what a cache cannot seal is refused with what to use", "[kv]") {
  CHECK(refusal_of([] { codec("nvfp4", GroupAxis::token); }).names("use ts=none or ts=static"));
  CHECK(refusal_of([] { codec("int4:channel:s=fp16", GroupAxis::token); }).names("gN"));
  CHECK(refusal_of([] { codec("int4:g32:s=fp16:round=sr", GroupAxis::token); }).names("stochastic"));
  MethodOptions options;
  options.residual = 100;
  const auto rules = make_method("kivi", options)->rules({1, 64}, nullptr);
  const Refusal residual = refusal_of([&] { WindowPolicy({rules}, nullptr); });
  CHECK(residual.names("residual window of 100 tokens is no multiple of the group of 128"));
  CHECK(refusal_of([] { make_method("kivvi", {}); }).names("did you mean 'kivi'"));
  CHECK(refusal_of([] { parse_view("half"); }).names("all, decode, prefill_fp"));
  for (const char* fitted : {"kvquant", "resq"}) {
    const Calibration nothing;
    CHECK(refusal_of([&] { make_method(fitted, {})->rules({1, 64}, &nothing); }).names("no tokens to fit"));
    CHECK(refusal_of([&] { make_method(fitted, {})->rules({1, 64}, nullptr); }).names("no tokens to fit"));
  }
}

TEST_CASE("a context shorter than a group stays open", "[kv]") {
  const LayerShape shape{1, 64};
  const Tokens tokens(100, shape);
  MethodOptions options;
  options.residual = 0;
  Cache cache({shape},
              std::make_unique<WindowPolicy>(std::vector{make_method("kivi", options)->rules(shape, nullptr)}, nullptr),
              true);
  tokens.give(0, 100, [&](const auto& step) { cache.append(step); });
  CHECK(cache.storage(0).stream("k").sealed() == 0);
  CHECK(cache.storage(0).stream("v").sealed() == 100);  // token-wise groups are whole
  CHECK(same_bits(cache.read(0, 0).k, tokens.k.view()));
}
