// The seams of kv.hpp carry methods that keep something else, or not everything: a stored layer input, pages that are
// given up and filled again, a policy that asks for attention mass.
#include "sim/kv/half.hpp"
#include "sim/kv/half_codec.hpp"
#include "sim/kv/nuq_codec.hpp"
#include "tests/sim/kv/support.hpp"

using namespace lowbit;
using namespace lowbit::kv;
using namespace lowbit::test;

namespace {

// y = x W, W of x.columns rows.
model::Matrix product(ConstRows x, const model::Matrix& w) {
  model::Matrix y = model::Matrix::zeros(x.rows, w.columns());
  for (std::size_t t = 0; t < x.rows; ++t)
    for (std::size_t i = 0; i < x.columns; ++i)
      for (std::size_t c = 0; c < w.columns(); ++c) y.view().row(t)[c] += x.row(t)[i] * w.view().row(i)[c];
  return y;
}

constexpr std::size_t kPage = 4, kBudget = 16;

// PagedEviction in small: pages of 4 slots, 16 slots in all; a full cache gives up the page of the least mean |v| / |k|
// and fills it again.
class Pages : public Policy {
 public:
  void begin(int, const LayerShape& shape, Storage& storage) override {
    storage.add("k", 1, shape.head_dim);
    storage.add("v", 1, shape.head_dim);
  }
  void append(const model::CacheTokens& tokens, Storage& storage) override {
    Stream &k = storage.stream("k"), &v = storage.stream("v");
    for (std::size_t t = 0; t < tokens.k.rows; ++t) {
      const ConstRows key = tokens.k.slice(t, 1), value = tokens.v.slice(t, 1);
      if (k.slots() < kBudget) {
        k.append(key, tokens.positions + t);
        v.append(value, tokens.positions + t);
        continue;
      }
      if (filled_ == kPage) page_ = worst(k, v), filled_ = 0, ++evictions;
      k.overwrite(page_ * kPage + filled_, key, tokens.positions + t);
      v.overwrite(page_ * kPage + filled_++, value, tokens.positions + t);
    }
  }
  void settle(int, Storage&) override {}
  HeadReader reader(int, std::size_t, const Storage& storage) const override {
    HeadReader reader;
    reader.k = &storage.stream("k"), reader.v = &storage.stream("v");
    reader.head_dim = reader.k->width();
    return reader;
  }
  bool wants_attention() const override { return true; }
  void attended(int, ConstRows, const std::vector<std::vector<float>>& seen, Storage& storage) override {
    REQUIRE(seen.size() == 1);
    REQUIRE(seen[0].size() == storage.stream("k").slots());
    mass = seen[0];
  }
  std::vector<float> mass;
  int evictions = 0;

 private:
  std::size_t worst(const Stream& k, const Stream& v) const {
    const auto keys = k.rows(), values = v.rows();
    std::size_t best = 0;
    double least = 1e300;
    for (std::size_t page = 0; page < kBudget / kPage; ++page) {
      double score = 0;
      for (std::size_t i = page * kPage; i < (page + 1) * kPage; ++i)
        score += std::sqrt(lane_dot(values.view().row(i), values.view().row(i), 16) /
                           lane_dot(keys.view().row(i), keys.view().row(i), 16));
      if (score < least && page != page_) least = score, best = page;
    }
    return best;
  }
  std::size_t page_ = kBudget / kPage - 1, filled_ = kPage;
};

}  // namespace

TEST_CASE("what is kept may be the layer's input: keys and values are made again", "[kv]") {
  const auto x = random_rows(64, 48), w_k = random_rows(48, 16, 2), w_v = random_rows(48, 16, 3);
  const auto positions = positions_from(0, 64);
  Storage storage;
  storage.add("x", 1, 48);
  Stream& stream = storage.stream("x");
  stream.append(x, positions.data());
  const auto codec = std::make_shared<GroupCodec>(parse_format("int8:g48:min:s=fp16"), GroupAxis::token);
  stream.seal(0, 64, codec);
  const auto back = stream.rows();
  Stream k("k", 16), v("v", 16), exact_k("k", 16), exact_v("v", 16);
  k.append(product(back, w_k).view(), positions.data());
  v.append(product(back, w_v).view(), positions.data());
  exact_k.append(product(x, w_k).view(), positions.data());
  exact_v.append(product(x, w_v).view(), positions.data());
  const auto q = random_rows(1, 16, 4);
  model::Matrix y(1, 16), exact(1, 16);
  HeadReader reader;
  reader.head_dim = 16;
  reader.k = &k, reader.v = &v;
  attend(reader, q, 63, 0.05f, y);
  reader.k = &exact_k, reader.v = &exact_v;
  attend(reader, q, 63, 0.05f, exact);
  for (std::size_t c = 0; c < 16; ++c) CHECK(y.data()[c] == Approx(exact.data()[c]).margin(0.1));
  CHECK(storage.bytes().codes == 64 * 48);
}

TEST_CASE("pages are given up and filled again; the cache keeps its size and its positions", "[kv]") {
  const LayerShape shape{1, 16};
  const Tokens tokens(50, shape);
  auto owned = std::make_unique<Pages>();
  Pages& pages = *owned;
  Cache cache({shape}, std::move(owned), false);
  tokens.give(0, 50, [&](const auto& step) { cache.append(step); });
  const Stream& k = cache.storage(0).stream("k");
  CHECK(k.slots() == kBudget);
  CHECK(pages.evictions == 9);  // (50 - 16) / 4, rounded up
  CHECK(cache.next_position() == 50);
  CHECK(cache.held().tail == 2 * kBudget * 16 * 2);
  CHECK(cache.held().indices == 2 * kBudget * 4);  // positions are no run any more
  // each slot holds the token of its position
  const auto rows = k.rows();
  for (std::size_t i = 0; i < kBudget; ++i)
    CHECK(same_bits(rows.view().slice(i, 1), tokens.k.view().slice(static_cast<std::size_t>(k.positions()[i]), 1)));
  // the attention mass of a step goes to the policy
  const auto q = random_rows(1, 2 * 16, 8);
  model::Matrix out(1, 2 * 16);
  const std::int64_t position = 49;
  Threads threads(1);
  const model::AttentionShape attention{0, 2, 1, 16, 0.25f, 0};
  const model::Sequence sequence{0, 0, 1, 49, &cache};
  PackedAttention packed;
  packed.apply(
      {attention, sequence, q, &position, tokens.k.view().slice(49, 1), tokens.v.view().slice(49, 1), out, threads});
  double total = 0;
  for (const float m : pages.mass) total += m;
  CHECK(total == Approx(2).epsilon(1e-5));  // one for each query head
}

TEST_CASE("float16 blocks decode every code as the format does", "[kv]") {
  model::Matrix rows(1024, 64);
  const Element& half = element("fp16");
  for (std::uint32_t code = 0; code < 65536; ++code) {
    const float value = decode(half, code);
    const float ours = half_value(static_cast<std::uint16_t>(code));
    CHECK((std::isnan(value) ? std::isnan(ours)
                             : std::bit_cast<std::uint32_t>(value) == std::bit_cast<std::uint32_t>(ours)));
    rows.data()[code] = std::isfinite(value) ? value : 0.0f;
  }
  const HalfCodec codec;
  for (std::size_t first = 0; first < 1024; first += HalfCodec::kRows) {
    const auto block = codec.seal(rows.view().slice(first, HalfCodec::kRows));
    model::Matrix back(HalfCodec::kRows, 64);
    block->decode(0, back);
    CHECK(same_bits(back.view(), rows.view().slice(first, HalfCodec::kRows)));
    CHECK(block->bytes().codes == HalfCodec::kRows * 128);
  }
}

TEST_CASE("levels by k-means: centroids are means of their values, and no worse than equally spaced", "[kv]") {
  const auto rows = random_rows(4000, 1, 12);
  const std::vector<float> values(rows.data(), rows.data() + 4000);
  const auto error = [&](const std::vector<float>& levels, std::vector<double>* sums, std::vector<double>* counts) {
    double total = 0;
    for (const float x : values) {
      std::size_t best = 0;
      for (std::size_t k = 1; k < levels.size(); ++k)
        if (std::abs(x - levels[k]) < std::abs(x - levels[best])) best = k;
      total += (x - levels[best]) * static_cast<double>(x - levels[best]);
      if (sums != nullptr) (*sums)[best] += x, (*counts)[best] += 1;
    }
    return total;
  };
  const auto levels = k_means(values, 4);
  std::vector<double> sums(4), counts(4);
  const double ours = error(levels, &sums, &counts);
  for (std::size_t k = 0; k < 4; ++k) CHECK(sums[k] / counts[k] == Approx(levels[k]).margin(2e-3));
  CHECK(ours / 4000 == Approx(0.1175).epsilon(0.06));  // Lloyd-Max of a normal in 2 bits: .1175
  CHECK(ours < error(uniform_levels(4), nullptr, nullptr));
  CHECK(k_means({3, 1, 2}, 4).size() == 4);
}

TEST_CASE("weighted k-means is Lloyd's algorithm written out, value by value", "[kv]") {
  Rng rng(4, "weights");
  for (const std::size_t n : {9ul, 500ul})
    for (const std::size_t count : {4ul, 8ul}) {
      Samples samples;
      for (std::size_t i = 0; i < n; ++i) {
        samples.values.push_back(static_cast<float>(rng.normal()));
        const double g = rng.normal();
        samples.weights.push_back(i % 7 == 0 ? 0.0f : static_cast<float>(1e-12 * g * g));
      }
      std::vector<float> sorted = samples.values;
      std::sort(sorted.begin(), sorted.end());
      std::vector<double> centre;  // the same start
      for (std::size_t k = 0; k < count; ++k) {
        const double place = (static_cast<double>(k) + 0.5) / static_cast<double>(count) * static_cast<double>(n - 1);
        const auto below = static_cast<std::size_t>(place);
        centre.push_back(sorted[below] +
                         (place - static_cast<double>(below)) * (sorted[std::min(below + 1, n - 1)] - sorted[below]));
      }
      for (int round = 0; round < 50; ++round) {
        std::vector<double> sums(count), weights(count);
        for (std::size_t i = 0; i < n; ++i) {
          std::size_t best = 0;
          for (std::size_t k = 1; k < count; ++k)
            if (std::abs(samples.values[i] - centre[k]) < std::abs(samples.values[i] - centre[best])) best = k;
          sums[best] += static_cast<double>(samples.weights[i]) * samples.values[i];
          weights[best] += samples.weights[i];
        }
        for (std::size_t k = 0; k < count; ++k)
          if (weights[k] > 0) centre[k] = sums[k] / weights[k];
      }
      const auto levels = k_means(samples, count);
      for (std::size_t k = 0; k < count; ++k) CHECK(levels[k] == Approx(centre[k]).margin(1e-5));
      CHECK(levels != k_means(samples.values, count));
    }
  // where only two values count, two of the centroids are those
  const auto two = k_means(Samples{{-2, -1.5f, 1, 1.25f}, {0, 3, 0, 5}}, 2);
  CHECK(two == std::vector<float>{-1.5f, 1.25f});
}

TEST_CASE("Q-Norm: codes stay, decoded values have the moments of the values", "[kv]") {
  const auto rows = random_rows(128, 32, 14);
  std::vector<float> values(rows.data(), rows.data() + 128 * 32);
  for (float& x : values) x = 0.4f + x / 4;
  const auto levels = k_means(values, 4), moved = normalised_levels(levels, values);
  const std::vector<ChannelRange> ranges(32, ChannelRange{-9, 9, 0, 1});
  model::Matrix shifted(128, 32), out(128, 32), plain(128, 32);
  std::copy(values.begin(), values.end(), shifted.data());
  const auto block = NuqCodec({levels, moved}, ranges, false).seal(shifted.view()),
             without = NuqCodec(levels, ranges, false).seal(shifted.view());
  block->decode(0, out);
  without->decode(0, plain);
  const auto moments = [](const float* x, std::size_t n) {
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < n; ++i) mean += x[i] / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) square += (x[i] - mean) * (x[i] - mean) / static_cast<double>(n);
    return std::pair(mean, std::sqrt(square));
  };
  const auto own = moments(values.data(), values.size()), kept = moments(out.data(), values.size()),
             before = moments(plain.data(), values.size());
  CHECK(kept.first == Approx(own.first).epsilon(1e-5));
  CHECK(kept.second == Approx(own.second).epsilon(1e-5));
  CHECK(before.second < 0.97 * own.second);  // means of groups vary less than their values
  std::vector<std::uint8_t> a, b;
  block->dump(a);
  without->dump(b);
  CHECK(a == b);
  CHECK(normalised_levels({1, 2}, {1, 1}) == std::vector<float>{1, 2});
}

TEST_CASE("side lists put values back, fixed ranges clamp without one", "[kv]") {
  auto rows = random_rows(16, 8, 3);
  rows.data()[5] = 40.0f;
  std::vector<ChannelRange> ranges(8);
  for (auto& r : ranges) r = {-2, 2, 0, 2};
  model::Matrix listed(16, 8), clamped(16, 8);
  const auto with = NuqCodec(std::vector<float>{-1, -0.25f, 0.25f, 1}, ranges, true).seal(rows),
             without = NuqCodec(std::vector<float>{-1, -0.25f, 0.25f, 1}, ranges, false).seal(rows);
  with->decode(0, listed);
  without->decode(0, clamped);
  CHECK(listed.data()[5] == 40.0f);
  CHECK(clamped.data()[5] == 2.0f);
  CHECK(with->bytes().outliers >= 2);
  CHECK(without->bytes().outliers == 0);
  for (std::size_t i = 0; i < 16 * 8; ++i)
    if (std::abs(rows.data()[i]) <= 2) CHECK(listed.data()[i] == clamped.data()[i]);
}
