#include "experiments/papers/kvlinc/training.hpp"

#include <algorithm>
#include <cmath>

#include "sim/model/attention.hpp"
#include "sim/model/math.hpp"
#include "sim/model/sgemm.hpp"

namespace lowbit::kvlinc {
namespace {

std::vector<double> doubles(ConstRows rows) {
  std::vector<double> out;
  for (std::size_t t = 0; t < rows.rows; ++t) out.insert(out.end(), rows.row(t), rows.row(t) + rows.columns);
  return out;
}

/// Queries first .. first + rows - 1 of one query head, and which slots they see from the cache.
struct Tile {
  const Head& head;
  const Sealed& cache;
  ConstRows q;
  std::size_t first;
  std::vector<std::size_t> sealed;  // of each query: slots below it come from the cache
  std::size_t last() const { return first + q.rows; }
};

// q k^T over slots 0 .. last - 1.
Matrix logits(const Tile& tile, const Matrix& k) {
  Matrix out(tile.q.rows, tile.last());
  model::sgemm(tile.q, model::transpose(k.view().slice(0, tile.last())), out);
  return out;
}

// sums += weights v.
void add_product(const Tile& tile, const Matrix& weights, const Matrix& v, Matrix& sums) {
  model::sgemm(weights, v.view().slice(0, tile.last()), sums, model::Sum::add);
}

// Sums of weights and of weighted values, not divided; with the cache's rows below `sealed`, or (plain) without.
struct Sums {
  Matrix numerator;
  std::vector<double> denominator;
};
Sums sums_of(const Tile& tile, bool plain) {
  const std::size_t n = tile.q.rows;
  Matrix weight = logits(tile, tile.head.k), kept = plain ? Matrix() : logits(tile, tile.cache.k);
  Sums out{Matrix::zeros(n, tile.head.d), std::vector<double>(n)};
  Matrix from_cache = Matrix::zeros(n, tile.last());
  for (std::size_t i = 0; i < n; ++i) {
    float* w = weight.view().row(i);
    const std::size_t seen = tile.first + i + 1, sealed = plain ? 0 : tile.sealed[i];
    if (sealed > 0) std::copy_n(kept.view().row(i), sealed, w);
    out.denominator[i] = model::exp_row(w, tile.head.scale(), seen);
    std::fill(w + seen, w + tile.last(), 0.0f);
    std::copy_n(w, sealed, from_cache.view().row(i));
    std::fill_n(w, sealed, 0.0f);
  }
  add_product(tile, weight, tile.head.v, out.numerator);
  if (!plain) add_product(tile, from_cache, tile.cache.v, out.numerator);
  return out;
}

void append(ConstRows rows, std::vector<double>& out) {
  for (std::size_t t = 0; t < rows.rows; ++t) out.insert(out.end(), rows.row(t), rows.row(t) + rows.columns);
}

kv::CorrectionData::Queries queries_of(const Head& head, const Sealed& cache, const Matrix& q,
                                       const std::vector<std::size_t>& sealed) {
  kv::CorrectionData::Queries out;
  out.q = doubles(q);
  for (std::size_t first = 0; first < q.rows(); first += model::kQueryTile) {
    const std::size_t n = std::min(model::kQueryTile, q.rows() - first);
    const Tile tile{
        head,
        cache,
        q.view().slice(first, n),
        first,
        {sealed.begin() + static_cast<std::ptrdiff_t>(first), sealed.begin() + static_cast<std::ptrdiff_t>(first + n)}};
    const Sums own = sums_of(tile, false);
    Sums exact = sums_of(tile, true);
    append(own.numerator.view(), out.numerator);
    out.denominator.insert(out.denominator.end(), own.denominator.begin(), own.denominator.end());
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t c = 0; c < head.d; ++c)
        out.target.push_back(exact.numerator.view().row(i)[c] / exact.denominator[i]);
  }
  return out;
}

}  // namespace

void refuse_windows(const model::Config& config) {
  for (const std::int64_t window : config.window) kv::refuse_window(window);
}

Sealed seal(const Head& head, const std::string& method, const kv::MethodOptions& options) {
  const kv::LayerShape shape{1, head.d};
  const kv::LayerRules rules = kv::make_method(method, options)->rules(shape, nullptr);
  kv::Cache cache({shape}, std::make_unique<kv::WindowPolicy>(std::vector{rules}, head.rope.get()), true);
  const auto positions = head.positions();
  cache.append({0, positions.data(), head.k, head.k_pre, head.k, head.v});
  Sealed out;
  kv::read_head(cache.reader(0, 0), out.k, out.v);
  out.rule = rules.k;
  return out;
}

kv::CorrectionData correction_data(const Head& head, const Sealed& cache, kv::View view) {
  kv::CorrectionData data;
  data.tokens = head.tokens(), data.d = head.d;
  const std::size_t end = cache.rule.end(head.tokens());
  data.error = doubles(head.k);
  const std::vector<double> kept = doubles(cache.k);
  for (std::size_t i = 0; i < data.error.size(); ++i) data.error[i] = i / head.d < end ? data.error[i] - kept[i] : 0;
  data.value = doubles(cache.v);
  for (std::size_t n = 0; n < head.tokens(); ++n)
    data.sealed.push_back(view == kv::View::all ? std::min(n + 1, end) : cache.rule.end(n));
  for (const Matrix& q : head.q) data.heads.push_back(queries_of(head, cache, q, data.sealed));
  return data;
}

double output_error(const kv::CorrectionData& data, const std::vector<std::vector<double>>* y) {
  double mean = 0;
  for (std::size_t h = 0; h < data.heads.size(); ++h) {
    double error = 0, norm = 0;
    for (std::size_t n = 0; n < data.tokens; ++n)
      for (std::size_t c = 0; c < data.d && data.sealed[n] > 0; ++c) {
        const std::size_t i = n * data.d + c;
        const double out = y != nullptr ? (*y)[h][i] : data.heads[h].numerator[i] / data.heads[h].denominator[n];
        error += (out - data.heads[h].target[i]) * (out - data.heads[h].target[i]);
        norm += data.heads[h].target[i] * data.heads[h].target[i];
      }
    mean += std::sqrt(error / norm) / static_cast<double>(data.heads.size());
  }
  return mean;
}

std::vector<double> train(kv::Correction& correction, const std::vector<kv::CorrectionData>& chunks,
                          const kv::CorrectionData& check, const Schedule& schedule) {
  constexpr int kPatience = 10;
  kv::AdamW adam(correction.parameters().size(), schedule.rate);
  std::vector<double> best = correction.parameters();
  double lowest = correction.loss(check, nullptr);
  std::vector<double> validation{lowest};
  int waited = 0;
  for (std::size_t epoch = 0; epoch < schedule.epochs; ++epoch) {
    for (const auto& chunk : chunks) {
      std::vector<double> gradient(correction.parameters().size());
      correction.loss(chunk, &gradient);
      adam.step(correction.parameters(), gradient);
    }
    const double loss = correction.loss(check, nullptr);
    validation.push_back(loss);
    if (loss < lowest) {
      lowest = loss, best = correction.parameters(), waited = 0;
    } else if (++waited > kPatience) {
      adam.rate *= 0.1, waited = 0;
    }
  }
  correction.parameters() = best;
  return validation;
}

}  // namespace lowbit::kvlinc
