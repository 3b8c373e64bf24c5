#include "sim/kv/correction.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "sim/kv/clones.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::kv {
namespace {

constexpr double kLeast = 1e-12, kLossScale = 1000;

// y += x W for one row: W d x n.
LOWBIT_KV_CLONES void row_times(const double* x, const double* w, std::size_t d, std::size_t n, double* y) {
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < n; ++j) y[j] += x[i] * w[i * n + j];
}

// W += x^T y.
LOWBIT_KV_CLONES void add_outer(const double* x, const double* y, std::size_t d, std::size_t n, double* w) {
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < n; ++j) w[i * n + j] += x[i] * y[j];
}

LOWBIT_KV_CLONES double dot(const double* x, const double* y, std::size_t n) {
  double lane[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (std::size_t j = 0; j < 8; ++j) lane[j] += x[i + j] * y[i + j];
  for (std::size_t j = 0; i < n; ++i, ++j) lane[j] += x[i] * y[i];
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

// softmax(sign z), at least kLeast.
void softmax(const double* z, double sign, std::size_t n, double* y) {
  double most = sign * z[0], sum = 0;
  for (std::size_t j = 1; j < n; ++j) most = std::max(most, sign * z[j]);
  for (std::size_t j = 0; j < n; ++j) sum += y[j] = portable_exp(sign * z[j] - most);
  for (std::size_t j = 0; j < n; ++j) y[j] = std::max(y[j] / sum, kLeast);
}

// phi of rows of d values: rows x 2 half.
std::vector<double> features_of(const double* x, std::size_t rows, std::size_t d, const double* w, std::size_t half) {
  std::vector<double> out(rows * 2 * half), z(half);
  for (std::size_t t = 0; t < rows; ++t) {
    std::fill(z.begin(), z.end(), 0.0);
    row_times(x + t * d, w, d, half, z.data());
    softmax(z.data(), 1, half, out.data() + t * 2 * half);
    softmax(z.data(), -1, half, out.data() + t * 2 * half + half);
  }
  return out;
}

// dW += sum over rows of x^T dz, dz of both softmaxes: p (g - p . g), with the sign of the second.
void add_map_gradient(const double* x, const double* features, const double* gradient, std::size_t rows, std::size_t d,
                      std::size_t half, double* dw) {
  std::vector<double> dz(half);
  for (std::size_t t = 0; t < rows; ++t) {
    std::fill(dz.begin(), dz.end(), 0.0);
    for (int side = 0; side < 2; ++side) {
      const double* p = features + t * 2 * half + (side == 0 ? 0 : half);
      const double* g = gradient + t * 2 * half + (side == 0 ? 0 : half);
      const double mean = dot(p, g, half);
      for (std::size_t j = 0; j < half; ++j)
        if (p[j] > kLeast) dz[j] += (side == 0 ? 1 : -1) * p[j] * (g[j] - mean);
    }
    add_outer(x + t * d, dz.data(), d, half, dw);
  }
}

}  // namespace

Correction::Correction(std::size_t d, std::size_t features, std::size_t query_heads, double gain, Rng rng)
    : d_(d), features_(features), query_heads_(query_heads) {
  assert(features % 2 == 0 && features > 0);
  const double bound = std::sqrt(6.0 / static_cast<double>(d));
  const auto draw = [&] {
    for (std::size_t i = 0; i < map_size(); ++i) parameters_.push_back(rng.uniform(-bound, bound));
  };
  draw();
  for (std::size_t h = 0; h < query_heads; ++h) {
    draw();
    parameters_.push_back(portable_log(gain));
  }
}

double Correction::gain(std::size_t head) const {
  return portable_exp(query_map(head)[map_size()]);
}

void Correction::add_state(const double* error, const double* value, std::size_t rows,
                           std::vector<double>& state) const {
  assert(state.size() == features_ * (d_ + 1));
  const auto w = features_of(error, rows, d_, key_map(), features_ / 2);
  for (std::size_t t = 0; t < rows; ++t) {
    add_outer(w.data() + t * features_, value + t * d_, features_, d_, state.data());
    for (std::size_t j = 0; j < features_; ++j) state[features_ * d_ + j] += w[t * features_ + j];
  }
}

std::vector<double> Correction::key_features(const std::vector<double>& errors) const {
  return features_of(errors.data(), errors.size() / d_, d_, key_map(), features_ / 2);
}

std::vector<double> Correction::query_features(std::size_t head, const std::vector<double>& q) const {
  auto u = features_of(q.data(), q.size() / d_, d_, query_map(head), features_ / 2);
  const double factor = gain(head);
  for (double& v : u) v *= factor;
  return u;
}

// One query head of a pass: outputs and what their gradient needs. The states of a query are those of the slots sealed
// for it; queries come in runs with equal states.
struct Correction::Pass {
  const Correction& c;
  const CorrectionData& data;
  const CorrectionData::Queries& head;
  const std::vector<double>& w;  // phi_k of all tokens
  std::vector<double> u;         // phi_q, without gain
  std::vector<double> y, sum;    // outputs and denominators

  // visit(first query, last query, state) for each run, state of the slots that it sees
  template <class Visit>
  void runs(Visit visit) const {
    std::vector<double> state(c.features_ * (c.d_ + 1));
    std::size_t done = 0;
    for (std::size_t n = 0; n < data.tokens;) {
      const std::size_t sealed = data.sealed[n];
      for (; done < sealed; ++done) {
        add_outer(w.data() + done * c.features_, data.value.data() + done * c.d_, c.features_, c.d_, state.data());
        for (std::size_t j = 0; j < c.features_; ++j) state[c.features_ * c.d_ + j] += w[done * c.features_ + j];
      }
      std::size_t end = n;
      while (end < data.tokens && data.sealed[end] == sealed) ++end;
      visit(n, end, state);
      n = end;
    }
  }

  void forward(double gain) {
    y.assign(data.tokens * c.d_, 0);
    sum.assign(data.tokens, 0);
    runs([&](std::size_t first, std::size_t last, const std::vector<double>& state) {
      for (std::size_t n = first; n < last; ++n) {
        double* out = y.data() + n * c.d_;
        const double* features = u.data() + n * c.features_;
        row_times(features, state.data(), c.features_, c.d_, out);
        sum[n] = head.denominator[n] + gain * dot(features, state.data() + c.features_ * c.d_, c.features_);
        for (std::size_t k = 0; k < c.d_; ++k) out[k] = (head.numerator[n * c.d_ + k] + gain * out[k]) / sum[n];
      }
    });
  }

  // dL/dy in g: dL/du = gain (S g - P (g . y)) / Z; dL/dw_i = sum over queries that see i of gain u (g . v_i - g . y) /
  // Z, gathered from the last run to the first as G = sum u^T g / Z and h = sum u (g . y) / Z.
  double backward(const std::vector<double>& g, double gain, std::vector<double>& du, std::vector<double>& dw) const {
    const std::size_t features = c.features_, d = c.d_;
    du.assign(data.tokens * features, 0);
    double dgain = 0;
    struct Run {
      std::size_t first, last, sealed;
    };
    std::vector<Run> order;
    runs([&](std::size_t first, std::size_t last, const std::vector<double>& state) {
      order.push_back({first, last, data.sealed[first]});
      for (std::size_t n = first; n < last; ++n) {
        const double* gn = g.data() + n * d;
        const double gy = dot(gn, y.data() + n * d, d);
        double* out = du.data() + n * features;
        for (std::size_t j = 0; j < features; ++j)
          out[j] = (dot(state.data() + j * d, gn, d) - state[features * d + j] * gy) / sum[n];
        dgain += gain * dot(out, u.data() + n * features, features);
        for (std::size_t j = 0; j < features; ++j) out[j] *= gain;
      }
    });
    std::vector<double> outer(features * d), mean(features), scaled(features);
    for (std::size_t r = order.size(); r-- > 0;) {
      const auto [first, last, sealed] = order[r];
      for (std::size_t n = first; n < last; ++n) {
        const double* gn = g.data() + n * d;
        const double gy = dot(gn, y.data() + n * d, d);
        for (std::size_t j = 0; j < features; ++j) scaled[j] = gain * u[n * features + j] / sum[n];
        add_outer(scaled.data(), gn, features, d, outer.data());
        for (std::size_t j = 0; j < features; ++j) mean[j] += scaled[j] * gy;
      }
      for (std::size_t i = r == 0 ? 0 : order[r - 1].sealed; i < sealed; ++i)
        for (std::size_t j = 0; j < features; ++j)
          dw[i * features + j] += dot(outer.data() + j * d, data.value.data() + i * d, d) - mean[j];
    }
    return dgain;
  }
};

std::vector<std::vector<double>> Correction::outputs(const CorrectionData& data) const {
  const auto w = features_of(data.error.data(), data.tokens, d_, key_map(), features_ / 2);
  std::vector<std::vector<double>> out;
  for (std::size_t h = 0; h < query_heads_; ++h) {
    Pass pass{*this, data, data.heads[h], w, {}, {}, {}};
    pass.u = features_of(data.heads[h].q.data(), data.tokens, d_, query_map(h), features_ / 2);
    pass.forward(gain(h));
    out.push_back(std::move(pass.y));
  }
  return out;
}

double Correction::loss(const CorrectionData& data, std::vector<double>* gradient) const {
  const std::size_t half = features_ / 2;
  const auto w = features_of(data.error.data(), data.tokens, d_, key_map(), half);
  std::vector<double> dw(w.size()), du;
  const double factor = kLossScale / static_cast<double>(query_heads_ * data.tokens * d_);
  double loss = 0;
  for (std::size_t h = 0; h < query_heads_; ++h) {
    const CorrectionData::Queries& head = data.heads[h];
    Pass pass{*this, data, head, w, {}, {}, {}};
    pass.u = features_of(head.q.data(), data.tokens, d_, query_map(h), half);
    pass.forward(gain(h));
    std::vector<double> g(pass.y.size());
    for (std::size_t i = 0; i < g.size(); ++i) {
      const double difference = pass.y[i] - head.target[i];
      loss += factor * difference * difference;
      g[i] = 2 * factor * difference;
    }
    if (gradient == nullptr) continue;
    const double dgain = pass.backward(g, gain(h), du, dw);
    const std::size_t place = static_cast<std::size_t>(query_map(h) - parameters_.data());
    add_map_gradient(head.q.data(), pass.u.data(), du.data(), data.tokens, d_, half, gradient->data() + place);
    (*gradient)[place + map_size()] += dgain;
  }
  if (gradient != nullptr)
    add_map_gradient(data.error.data(), w.data(), dw.data(), data.tokens, d_, half, gradient->data());
  return loss;
}

CorrectionTerms::CorrectionTerms(const Correction& correction, ConstRows queries, const std::vector<double>& state)
    : features_(correction.features()), d_(queries.columns), state_(state) {
  for (std::size_t h = 0; h < queries.rows; ++h)
    u_.push_back(correction.query_features(h, {queries.row(h), queries.row(h) + d_}));
}

void CorrectionTerms::add(std::size_t query, float, float* numerator, double& denominator) const {
  std::vector<double> sum(d_);
  row_times(u_[query].data(), state_.data(), features_, d_, sum.data());
  for (std::size_t c = 0; c < d_; ++c)
    if (sum[c] != 0) numerator[c] += static_cast<float>(sum[c]);  // an empty state leaves even the sign of zeros
  denominator += dot(u_[query].data(), state_.data() + features_ * d_, features_);
}

void AdamW::step(std::vector<double>& parameters, const std::vector<double>& gradient) {
  constexpr double kFirst = 0.9, kSecond = 0.999, kSmall = 1e-8;
  ++steps_;
  const double one = 1 - std::pow(kFirst, steps_), two = 1 - std::pow(kSecond, steps_);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    first_[i] = kFirst * first_[i] + (1 - kFirst) * gradient[i];
    second_[i] = kSecond * second_[i] + (1 - kSecond) * gradient[i] * gradient[i];
    parameters[i] -= rate * (decay_ * parameters[i] + first_[i] / one / (std::sqrt(second_[i] / two) + kSmall));
  }
}

}  // namespace lowbit::kv
