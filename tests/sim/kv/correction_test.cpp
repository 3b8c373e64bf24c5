// Linear correction: outputs against the definition, gradients against finite differences, an empty state against the
// plain quantiser.
#include "sim/kv/correction.hpp"

#include "tests/sim/kv/support.hpp"

using namespace lowbit;
using namespace lowbit::kv;
using namespace lowbit::test;

namespace {

std::vector<double> normals(std::size_t n, std::uint64_t seed, double scale) {
  Rng rng(seed, "correction");
  std::vector<double> out(n);
  for (double& x : out) x = scale * rng.normal();
  return out;
}

// 13 tokens of 4 channels, sealed in blocks of 4, two query heads.
CorrectionData small_data() {
  CorrectionData data;
  data.tokens = 13, data.d = 4;
  data.error = normals(13 * 4, 1, 0.7);
  data.value = normals(13 * 4, 2, 1);
  for (std::size_t n = 0; n < 13; ++n) data.sealed.push_back(n / 4 * 4);
  for (std::uint64_t h = 0; h < 2; ++h) {
    CorrectionData::Queries q;
    q.q = normals(13 * 4, 10 + h, 1);
    q.numerator = normals(13 * 4, 20 + h, 1);
    for (const double x : normals(13, 30 + h, 1)) q.denominator.push_back(1.2 + x * x);
    q.target = normals(13 * 4, 40 + h, 1);
    data.heads.push_back(q);
  }
  return data;
}

}  // namespace

TEST_CASE("corrected outputs are the definition's", "[kv]") {
  const CorrectionData data = small_data();
  const Correction c(4, 6, 2, 0.3, Rng(5));
  const auto y = c.outputs(data);
  for (std::size_t h = 0; h < 2; ++h)
    for (const std::size_t n : {0ul, 5ul, 12ul}) {
      std::vector<double> state(6 * 5);
      c.add_state(data.error.data(), data.value.data(), data.sealed[n], state);
      const std::vector<float> q(data.heads[h].q.begin() + static_cast<long>(4 * n),
                                 data.heads[h].q.begin() + static_cast<long>(4 * n + 4));
      const auto u = c.query_features(h, {q.begin(), q.end()});
      double half = 0, denominator = data.heads[h].denominator[n];
      for (std::size_t j = 0; j < 3; ++j) half += u[j];
      CHECK(half == Approx(0.3).epsilon(1e-9));  // softmax times the gain
      for (std::size_t j = 0; j < 6; ++j) denominator += u[j] * state[6 * 4 + j];
      for (std::size_t k = 0; k < 4; ++k) {
        double numerator = data.heads[h].numerator[4 * n + k];
        for (std::size_t j = 0; j < 6; ++j) numerator += u[j] * state[j * 4 + k];
        CHECK(y[h][4 * n + k] == Approx(numerator / denominator).epsilon(1e-5));  // q goes through float here
      }
    }
}

TEST_CASE("gradients of the correction are those of finite differences", "[kv]") {
  const CorrectionData data = small_data();
  Correction c(4, 6, 2, 0.3, Rng(5));
  std::vector<double> gradient(c.parameters().size());
  const double loss = c.loss(data, &gradient);
  CHECK(loss == Approx(c.loss(data, nullptr)).epsilon(1e-14));
  double largest = 0;
  for (const double g : gradient) largest = std::max(largest, std::abs(g));
  REQUIRE(largest > 0.1);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double step = 1e-5, at = c.parameters()[i];
    c.parameters()[i] = at + step;
    const double above = c.loss(data, nullptr);
    c.parameters()[i] = at - step;
    const double below = c.loss(data, nullptr);
    c.parameters()[i] = at;
    CAPTURE(i);
    CHECK(gradient[i] == Approx((above - below) / (2 * step)).margin(1e-7 * largest));
  }
}

TEST_CASE("steps of AdamW lower the loss", "[kv]") {
  const CorrectionData data = small_data();
  Correction c(4, 6, 2, 0.3, Rng(5));
  AdamW adam(c.parameters().size(), 0.02);
  const double before = c.loss(data, nullptr);
  for (int i = 0; i < 200; ++i) {
    std::vector<double> gradient(c.parameters().size());
    c.loss(data, &gradient);
    adam.step(c.parameters(), gradient);
  }
  CHECK(c.loss(data, nullptr) < 0.9 * before);
  AdamW one(1, 0.1);  // the first step has the length of the rate, whatever the gradient
  std::vector<double> x{1};
  one.step(x, {-37});
  CHECK(x[0] == Approx(1.1).epsilon(1e-6));
}

TEST_CASE("an empty state is the plain quantiser bit for bit, a full one is not", "[kv]") {
  const LayerShape shape{1, 64};
  const Tokens tokens(400, shape);
  const auto rules = make_method("kvlinc", {})->rules(shape, nullptr);
  Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, nullptr), true);
  tokens.give(0, 400, [&](const auto& step) { cache.append(step); });
  const auto q = random_rows(3, 64, 9);
  const Correction c(64, 32, 3, 0.1, Rng(2));
  std::vector<double>& state = cache.storage(0).state("correction", 0, 32 * 65);
  CHECK(cache.held().states == 2 * 32 * 65);
  model::Matrix plain(3, 64), empty(3, 64), full(3, 64);
  attend(cache.reader(0, 0), q, 399, 0.125f, plain);
  const CorrectionTerms nothing(c, q, state);
  attend(cache.reader(0, 0), q, 399, 0.125f, empty, &nothing);
  CHECK(same_bits(plain.view(), empty.view()));
  const auto error = normals(384 * 64, 3, 0.3), value = normals(384 * 64, 4, 1);
  c.add_state(error.data(), value.data(), 384, state);
  const CorrectionTerms something(c, q, state);
  attend(cache.reader(0, 0), q, 399, 0.125f, full, &something);
  CHECK(!same_bits(plain.view(), full.view()));
  double weight = 0;  // features of each sum to one, twice: P adds up to 2 a row
  for (std::size_t j = 0; j < 32; ++j) weight += state[32 * 64 + j];
  CHECK(weight == Approx(2 * 384).epsilon(1e-6));
}
