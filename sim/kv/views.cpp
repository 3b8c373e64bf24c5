// Attention of a pass over the streams of a cache: straight from the blocks, or one pass in the view of decoding.
#include <cblas.h>

#include <algorithm>
#include <stdexcept>

#include "sim/kv/cache.hpp"
#include "sim/model/math.hpp"

namespace lowbit::kv {
namespace {

Cache& cache_of(const model::AttentionCall& call) {
  auto* cache = dynamic_cast<Cache*>(call.sequence.cache);
  if (cache == nullptr) throw std::logic_error("kv: this attention reads a kv::Cache");
  return *cache;
}

struct Pass {
  const model::AttentionCall& call;
  const LayerRules& rules;
  std::int64_t prompt;

  // Slots sealed for the query of row n of a text that begins with it: [sinks, end).
  std::size_t end(const Side& side, std::size_t n) const {
    return static_cast<std::int64_t>(n) < prompt ? 0 : std::max(side.end(n), side.window.sinks);
  }
};

// Keys that the query of row n sees: sealed ones as the cache gives them, the others as they are.
struct SeenKeys {
  Matrix rows;
  std::size_t end = static_cast<std::size_t>(-1);

  void update(const Pass& pass, ConstRows sealed, ConstRows plain, std::size_t n, std::size_t count) {
    const std::size_t now = pass.end(pass.rules.k, n);
    if (now == end && rows.rows() >= count) return;
    end = now;
    rows.resize(plain.rows, plain.columns);
    for (std::size_t t = 0; t < plain.rows; ++t) {
      const bool is_sealed = t >= pass.rules.k.window.sinks && t < end;
      std::copy_n((is_sealed ? sealed : plain).row(t), plain.columns, rows.view().row(t));
    }
  }
};

// out(rows first .. last - 1) of one query head; keys are the same for all of them.
void attend_tile(const Pass& pass, std::size_t head, std::size_t first, std::size_t last, ConstRows keys,
                 ConstRows sealed_v, ConstRows plain_v) {
  const model::AttentionShape& shape = pass.call.shape;
  const int d = static_cast<int>(shape.head_dim), rows = static_cast<int>(last - first), width = static_cast<int>(last);
  const ConstRows q = pass.call.q.part(head * shape.head_dim, shape.head_dim).slice(first, last - first);
  const Rows out = pass.call.output.part(head * shape.head_dim, shape.head_dim).slice(first, last - first);
  Matrix weight(q.rows, last), open(q.rows, last);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, width, d, 1, q.data, static_cast<int>(q.stride), keys.data,
              static_cast<int>(keys.stride), 0, weight.data(), width);
  std::vector<double> sum(q.rows);
  for (std::size_t i = 0; i < q.rows; ++i) {
    const std::size_t n = first + i, end = pass.end(pass.rules.v, n), sinks = pass.rules.v.window.sinks;
    float *w = weight.view().row(i), *o = open.view().row(i);
    sum[i] = model::exp_row(w, shape.scale, n + 1);
    std::fill(w + n + 1, w + last, 0.0f);
    for (std::size_t t = 0; t < last; ++t) {  // weights of sealed values stay in w, those of open ones go to o
      const bool is_sealed = t >= sinks && t < end;
      o[t] = is_sealed ? 0.0f : w[t];
      if (!is_sealed) w[t] = 0.0f;
    }
  }
  const int stride = static_cast<int>(out.stride);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, d, width, 1, weight.data(), width, sealed_v.data,
              static_cast<int>(sealed_v.stride), 0, out.data, stride);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, d, width, 1, open.data(), width, plain_v.data,
              static_cast<int>(plain_v.stride), 1, out.data, stride);
  for (std::size_t i = 0; i < q.rows; ++i) {
    const float factor = static_cast<float>(1 / sum[i]);
    for (std::size_t c = 0; c < shape.head_dim; ++c) out.row(i)[c] *= factor;
  }
}

model::AttentionStats causal_stats(const model::AttentionCall& call, double pairs) {
  model::AttentionStats stats;
  stats.causal_pairs = stats.attended_pairs = pairs;
  stats.flops = 4 * static_cast<double>(call.shape.head_dim) * pairs;
  return stats;
}

}  // namespace

model::AttentionStats ViewAttention::apply(const model::AttentionCall& call) {
  Cache& cache = cache_of(call);
  const auto* policy = dynamic_cast<const WindowPolicy*>(&cache.policy());
  if (policy == nullptr) throw std::logic_error("kv: this view needs a policy of windows");
  if (call.sequence.first_position != 0 || call.shape.window != 0)
    throw std::logic_error("kv: this view needs a pass that begins the text, without a sliding window");
  const Pass pass{call, policy->rules(call.shape.layer), prompt_};
  const std::size_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads, rows = call.q.rows;
  for (std::size_t h = 0; h < call.shape.kv_heads; ++h) {
    const model::KeyValues sealed = cache.read(call.shape.layer, h);
    const ConstRows plain_k = call.k.part(h * d, d), plain_v = call.v.part(h * d, d);
    // runs of queries that see the same sealed keys, in tiles
    std::vector<std::size_t> begin{0};
    for (std::size_t n = 1; n < rows; ++n)
      if (pass.end(pass.rules.k, n) != pass.end(pass.rules.k, n - 1) || n - begin.back() == model::kQueryTile)
        begin.push_back(n);
    begin.push_back(rows);
    SeenKeys keys;
    for (std::size_t tile = 0; tile + 1 < begin.size(); ++tile) {
      keys.update(pass, sealed.k, plain_k, begin[tile], rows);
      call.threads.parallel_for(group, [&](std::size_t g) {
        attend_tile(pass, h * group + g, begin[tile], begin[tile + 1], keys.rows.view(), sealed.v, plain_v);
      });
    }
  }
  return causal_stats(
      call, static_cast<double>(call.shape.heads) * static_cast<double>(rows) * static_cast<double>(rows + 1) / 2);
}

model::AttentionStats PackedAttention::apply(const model::AttentionCall& call) {
  Cache& cache = cache_of(call);
  const bool wanted = cache.policy().wants_attention();
  std::vector<std::vector<float>> mass(call.shape.kv_heads);
  const std::size_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads;
  std::vector<double> pairs(call.shape.kv_heads);
  call.threads.parallel_for(call.shape.kv_heads, [&](std::size_t h) {
    const HeadReader reader = cache.reader(call.shape.layer, h);
    if (wanted) mass[h].resize(reader.k->slots());
    Matrix q(group, d), out(group, d);
    for (std::size_t t = 0; t < call.q.rows; ++t) {
      for (std::size_t g = 0; g < group; ++g) std::copy_n(call.q.row(t) + (h * group + g) * d, d, q.view().row(g));
      attend(reader, q, call.positions[t], call.shape.scale, out, nullptr, wanted ? &mass[h] : nullptr);
      for (std::size_t g = 0; g < group; ++g)
        std::copy_n(out.view().row(g), d, call.output.row(t) + (h * group + g) * d);
      pairs[h] += static_cast<double>(group * reader.k->slots());
    }
  });
  if (wanted) cache.policy().attended(call.shape.layer, call.q, mass, cache.storage(call.shape.layer));
  double total = 0;
  for (const double p : pairs) total += p;
  return causal_stats(call, total);
}

}  // namespace lowbit::kv
