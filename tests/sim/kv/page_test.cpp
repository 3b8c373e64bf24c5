// The five methods of sim/kv/kv.hpp, as that page writes them: they compile, and do what the methods do.
#include <algorithm>
#include <fstream>

#include "sim/kv/correction.hpp"
#include "sim/kv/nuq_codec.hpp"
#include "tests/sim/kv/support.hpp"

using namespace lowbit;
using namespace lowbit::kv;
using namespace lowbit::test;

namespace {

constexpr std::size_t d = 64;

// What the method of that name has sealed of `tokens`, given one by one.
std::vector<std::uint8_t> sealed_by(const char* method, const MethodOptions& options, const Tokens& tokens,
                                    std::size_t count, const char* stream, const Calibration* calibration = nullptr) {
  const LayerShape shape{1, d};
  const auto rope = test_rope(d);
  const auto rules = make_method(method, options)->rules(shape, calibration);
  Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, &rope), true);
  for (std::size_t t = 0; t < count; ++t) tokens.give(t, 1, [&](const auto& step) { cache.append(step); });
  return cache.storage(0).stream(stream).dump();
}

Matrix product(ConstRows x, const Matrix& w) {
  Matrix y = Matrix::zeros(x.rows, w.columns());
  for (std::size_t t = 0; t < x.rows; ++t)
    for (std::size_t i = 0; i < x.columns; ++i)
      for (std::size_t c = 0; c < w.columns(); ++c) y.view().row(t)[c] += x.row(t)[i] * w.view().row(i)[c];
  return y;
}

std::string file_text(const std::string& name) {
  std::ifstream file(std::string(LOWBIT_SOURCE_DIR) + "/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string without_blanks(std::string text) {
  text.erase(std::remove_if(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) != 0; }),
             text.end());
  return text;
}

}  // namespace

TEST_CASE("the interface page: KIVI", "[kv]") {
  const Tokens tokens(300, {1, d});
  Stream k("k", d), v("v", d);
  const auto of_channel = std::make_shared<GroupCodec>(parse_format("int2:g128:min:s=fp16"), GroupAxis::channel);
  const auto of_token = std::make_shared<GroupCodec>(parse_format("int2:g64:min:s=fp16"), GroupAxis::token);
  for (std::size_t t = 0; t < 300; ++t)
    tokens.give(t, 1, [&](const model::CacheTokens& step) {
      const ConstRows keys = step.k, values = step.v;
      const std::int64_t* positions = step.positions;
      k.append(keys, positions);
      v.append(values, positions);
      if (k.open() == 128) k.seal(k.sealed(), 128, of_channel);
      if (v.open() > 128) v.seal(v.sealed(), v.open() - 128, of_token);
    });
  CHECK(k.sealed() == 256);
  CHECK(v.sealed() == 172);
  CHECK(k.dump() == sealed_by("kivi", {}, tokens, 300, "k"));
  CHECK(v.dump() == sealed_by("kivi", {}, tokens, 300, "v"));
}

TEST_CASE("the interface page: KVQuant", "[kv]") {
  const Tokens tokens(200, {1, d}), other(300, {1, d}, 7);
  const ConstRows calibration = other.k_pre, keys_before_rope = tokens.k_pre;
  const auto place = positions_from(0, 200);
  const std::int64_t* positions = place.data();
  const auto rope = test_rope(d);
  Stream k("k", d);
  HeadReader reader;
  const std::vector<ChannelRange> ranges = channel_ranges(calibration, 0.01);
  const std::vector<float> levels = k_means(normalised(calibration, ranges), 4);
  const auto codec = std::make_shared<NuqCodec>(levels, ranges, true);
  k.append(keys_before_rope, positions);
  k.seal(k.sealed(), k.open(), codec);
  reader.rope = &rope;  // applied to the rows that are read
  MethodOptions options;
  options.residual = 0;
  const Calibration fit{other.k_pre, other.k, other.v};
  CHECK(k.dump() == sealed_by("kvquant", options, tokens, 200, "k", &fit));
  reader.k = reader.v = &k, reader.head_dim = d;
  Matrix read, unused, expected = k.rows();
  read_head(reader, read, unused);
  model::Rope::apply(expected, rope.table(positions, 200));
  CHECK(same_bits(read.view(), expected.view()));
}

TEST_CASE("the interface page: XQuant", "[kv]") {
  constexpr std::size_t hidden = 128, part = 0;
  const Matrix inputs = random_rows(100, hidden), w_k = random_rows(hidden, d, 2), w_v = random_rows(hidden, d, 3);
  const auto place = positions_from(0, 100);
  const std::int64_t* positions = place.data();
  const auto of_token = std::make_shared<GroupCodec>(parse_format("int4:g128:min:s=fp16"), GroupAxis::token);
  Storage storage;
  Matrix rows(100, hidden);
  storage.add("x", 1, hidden);
  Stream& x = storage.stream("x");
  x.append(inputs, positions);
  x.seal(x.sealed(), x.open(), of_token);
  x.read(part, 0, rows);
  const Matrix keys = product(rows, w_k), values = product(rows, w_v);
  CHECK(same_bits(rows.view(), of_token->round_trip(inputs).view()));
  CHECK(keys.rows() == 100);
  CHECK(values.columns() == d);
}

TEST_CASE("the interface page: page eviction", "[kv]") {
  const Tokens tokens(60, {1, d});
  constexpr std::size_t budget = 48, worst = 1;
  std::size_t filled = 0;
  Stream k("k", d), v("v", d);
  for (std::size_t t = 0; t < 60; ++t) {
    const ConstRows key = tokens.k.view().slice(t, 1), value = tokens.v.view().slice(t, 1);
    const auto own = static_cast<std::int64_t>(t), *position = &own;
    if (k.slots() < budget) {
      k.append(key, position);
      v.append(value, position);
    } else {
      k.overwrite(16 * worst + filled, key, position);
      v.overwrite(16 * worst + filled, value, position);
      ++filled;
    }
  }
  CHECK(k.slots() == budget);
  for (std::size_t slot = 0; slot < budget; ++slot) {
    const std::size_t token = slot >= 16 && slot < 28 ? 32 + slot : slot;  // 12 tokens went into the second page
    CHECK(k.positions()[slot] == static_cast<std::int64_t>(token));
    CHECK(same_bits(v.rows().view().slice(slot, 1), tokens.v.view().slice(token, 1)));
  }
}

TEST_CASE("the interface page: KVLinC's adapters", "[kv]") {
  constexpr std::size_t D = 8;
  constexpr float scale = 0.125f;
  constexpr std::int64_t last = 127;
  const Tokens tokens(128, {1, d});
  const auto place = positions_from(0, 128);
  const auto of_channel = std::make_shared<GroupCodec>(parse_format("int2:g128:min:s=fp16"), GroupAxis::channel);
  const auto of_token = std::make_shared<GroupCodec>(parse_format("int2:g64:min:s=fp16"), GroupAxis::token);
  const Correction correction(d, D, 2, 0.1, Rng(1));
  Storage storage;
  storage.add("k", 1, d);
  storage.add("v", 1, d);
  Stream &k = storage.stream("k"), &v = storage.stream("v");
  k.append(tokens.k, place.data());
  v.append(tokens.v, place.data());
  HeadReader reader;
  reader.k = &k, reader.v = &v, reader.head_dim = d;
  const Matrix queries = random_rows(2, d, 5), kept_keys = of_channel->round_trip(tokens.k),
               token_rows = of_token->round_trip(tokens.v);
  std::vector<double> key_errors, kept_values(token_rows.data(), token_rows.data() + 128 * d);
  for (std::size_t i = 0; i < 128 * d; ++i)
    key_errors.push_back(static_cast<double>(tokens.k.data()[i]) - kept_keys.data()[i]);
  Matrix output(2, d), plain(2, d);
  k.seal(k.sealed(), 128, of_channel);
  v.seal(v.sealed(), 128, of_token);
  std::vector<double>& state = storage.state("correction", 0, D * (d + 1));
  correction.add_state(key_errors.data(), kept_values.data(), 128, state);
  const CorrectionTerms terms(correction, queries, state);  // numerator phi(q) S, denominator phi(q) P
  attend(reader, queries, last, scale, output, &terms);
  attend(reader, queries, last, scale, plain);
  // y = (sum w v + u S) / (sum w + u P), w relative to the largest logit
  for (std::size_t i = 0; i < 2; ++i) {
    const float* q = queries.view().row(i);
    const auto u = correction.query_features(i, std::vector<double>(q, q + d));
    std::vector<double> logit(128);
    for (std::size_t t = 0; t < 128; ++t) logit[t] = scale * lane_dot(q, kept_keys.view().row(t), d);
    const double most = *std::max_element(logit.begin(), logit.end());
    double sum = 0, added = 0;
    for (const double l : logit) sum += std::exp(l - most);
    for (std::size_t j = 0; j < D; ++j) added += u[j] * state[D * d + j];
    for (std::size_t c = 0; c < d; ++c) {
      double term = 0;
      for (std::size_t j = 0; j < D; ++j) term += u[j] * state[j * d + c];
      const double y = (sum * plain.view().row(i)[c] + term) / (sum + added);
      CHECK(output.view().row(i)[c] == Approx(y).margin(1e-5));
    }
  }
  CHECK(storage.bytes().states == 2 * D * (d + 1));
}

TEST_CASE("the lines of the interface page are those of these tests", "[kv]") {
  const std::string tests = without_blanks(file_text("tests/sim/kv/page_test.cpp"));
  std::istringstream page(file_text("sim/kv/kv.hpp"));
  std::size_t lines = 0;
  bool examples = false;
  for (std::string line; std::getline(page, line);) {
    examples = examples || line.find("Five methods") != line.npos;
    if (!examples || line.rfind("//     ", 0) != 0) continue;
    CAPTURE(line);
    CHECK(tests.find(without_blanks(line.substr(2))) != tests.npos);
    ++lines;
  }
  CHECK(lines >= 30);
}
