#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiments/papers/kvlinc/heads.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::kvlinc {
namespace {

struct Channels {
  std::vector<double> offset, spread, value_offset, query_offset;  // b, sigma, ...
};

Channels draw_channels(std::size_t d, Rng& rng) {
  Channels c;
  for (std::size_t i = 0; i < d; ++i) c.spread.push_back(portable_exp(0.35 * rng.normal()));
  for (std::size_t i = 0; i < d; ++i) c.offset.push_back(0.8 * rng.normal());
  std::vector<std::size_t> places(d / 8);
  std::iota(places.begin(), places.end(), std::size_t{0});
  const auto outlier = [&] {
    const double sign = rng.below(2) == 0 ? -1 : 1;
    return sign * rng.uniform(6, 9);
  };
  for (std::size_t i = 0; i < std::max<std::size_t>(2, d / 32); ++i) {
    std::swap(places[i], places[i + rng.below(places.size() - i)]);
    const std::size_t u = places[i];
    c.offset[d / 2 - 1 - u] = outlier();
    if (rng.below(2) == 1) c.offset[d - 1 - u] = outlier();
  }
  for (std::size_t i = 0; i < d; ++i) c.value_offset.push_back(0.3 * rng.normal());
  for (std::size_t i = 0; i < d; ++i) c.query_offset.push_back(0.6 * rng.normal());
  return c;
}

Matrix draw_keys(const Channels& channels, std::size_t tokens, Rng& rng) {
  const std::size_t d = channels.offset.size();
  Matrix k(tokens, d);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t c = 0; c < d; ++c)
      k.view().row(t)[c] = static_cast<float>(channels.offset[c] + channels.spread[c] * rng.normal());
  return k;
}

Matrix draw_values(const Channels& channels, std::size_t tokens, Rng& rng) {
  const std::size_t d = channels.offset.size();
  Matrix v(tokens, d);
  for (std::size_t t = 0; t < tokens; ++t) {
    const double factor = portable_exp(0.3 * rng.normal());
    for (std::size_t c = 0; c < d; ++c) {
      const double x = rng.normal(), gain = rng.uniform() < 0.01 ? 4 : 1;
      v.view().row(t)[c] = static_cast<float>(x * gain * factor + channels.value_offset[c]);
    }
  }
  return v;
}

Matrix turned(const Matrix& rows, const model::Rope& rope, std::size_t first) {
  Matrix out(rows.rows(), rows.columns());
  model::copy_rows(rows, out);
  std::vector<std::int64_t> positions(rows.rows());
  std::iota(positions.begin(), positions.end(), static_cast<std::int64_t>(first));
  model::Rope::apply(out, rope.table(positions.data(), positions.size()));
  return out;
}

}  // namespace

std::shared_ptr<const model::Rope> make_rope(std::size_t d, double theta, const model::RopeScaling& scaling) {
  model::Config config;
  config.head_dim = d;
  config.rope_theta = theta;
  config.rope_scaling = scaling;
  return std::make_shared<const model::Rope>(config);
}

std::vector<std::int64_t> Head::positions() const {
  std::vector<std::int64_t> out(tokens());
  std::iota(out.begin(), out.end(), first_position);
  return out;
}

float Head::scale() const {
  return static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
}

Head synthetic_head(std::size_t d, std::size_t tokens, std::size_t queries, Rng rng, bool calibrated) {
  Rng channel_draws = rng.split("channels"), key_draws = rng.split("keys"), value_draws = rng.split("values"),
      query_draws = rng.split("queries"), fit_draws = rng.split("calibration");
  const Channels channels = draw_channels(d, channel_draws);
  Head head;
  head.d = d;
  head.rope = make_rope(d, 1e5);
  head.k_pre = draw_keys(channels, tokens, key_draws);
  head.k = turned(head.k_pre, *head.rope, 0);
  head.v = draw_values(channels, tokens, value_draws);
  Matrix q(queries, d);
  for (std::size_t t = 0; t < queries; ++t)
    for (std::size_t c = 0; c < d; ++c)
      q.view().row(t)[c] =
          static_cast<float>(query_draws.normal() + channels.query_offset[c] + 0.05 * channels.offset[c]);
  head.q.push_back(turned(q, *head.rope, tokens - queries));
  if (!calibrated) return head;
  head.fit_k_pre = draw_keys(channels, tokens, fit_draws);
  head.fit_k = turned(head.fit_k_pre, *head.rope, 0);
  head.fit_v = draw_values(channels, tokens, fit_draws);
  return head;
}

}  // namespace lowbit::kvlinc
