// One pass over a whole text in the views of a cache: which query sees which slots sealed.
#include <algorithm>
#include <stdexcept>

#include "sim/kv/cache.hpp"
#include "sim/kv/corrected.hpp"
#include "sim/model/math.hpp"
#include "sim/model/sgemm.hpp"

namespace lowbit::kv {
namespace {

struct Pass {
  const model::AttentionCall& call;
  const LayerRules& rules;
  View view;
  std::int64_t prompt;

  // Slots sealed for the query of row n of a text that begins with it: [sinks, end).
  std::size_t end(const Side& side, std::size_t n) const {
    if (static_cast<std::int64_t>(n) < prompt) return side.window.sinks;
    return std::max(side.end(view == View::all ? call.q.rows : n), side.window.sinks);
  }
};

// Slots 0 .. last - 1 as the queries first .. last - 1 see them: [sinks, all) sealed for all of them, [all, some) for
// some, the rest open.
struct Split {
  std::size_t sinks, all, some;
  Split(const Pass& pass, const Side& side, std::size_t first, std::size_t last)
      : sinks(std::min(side.window.sinks, last)),
        all(std::clamp(pass.end(side, first), sinks, last)),
        some(std::clamp(pass.end(side, last - 1), sinks, last)) {}
};

/// Keys or values of a KV head in both forms.
struct Forms {
  ConstRows sealed, plain;
};

/// A run of queries of one query head.
struct Tile {
  const Pass& pass;
  std::size_t head, first, last;
  std::size_t rows() const { return last - first; }
  std::size_t end(const Side& side, std::size_t i) const { return std::min(pass.end(side, first + i), last); }
  // First slot in the sliding window of query i.
  std::size_t begin(std::size_t i) const {
    const auto window = static_cast<std::size_t>(pass.call.shape.window);
    return window == 0 || first + i < window ? 0 : first + i + 1 - window;
  }
};

// q k^T with the form of each key that its query sees.
void logits(const Tile& tile, const Forms& k, Rows weight) {
  const Side& side = tile.pass.rules.k;
  const Split split(tile.pass, side, tile.first, tile.last);
  const std::size_t d = tile.pass.call.shape.head_dim, mixed = split.some - split.all;
  const ConstRows q = tile.pass.call.q.part(tile.head * d, d).slice(tile.first, tile.rows());
  const auto give = [&](ConstRows keys, std::size_t from, std::size_t to) {
    model::sgemm(q, model::transpose(keys.slice(from, to - from)), weight.part(from, to - from));
  };
  give(k.plain, 0, split.sinks);
  give(k.sealed, split.sinks, split.some);
  give(k.plain, split.some, tile.last);
  if (mixed == 0) return;
  Matrix open(tile.rows(), mixed);
  model::sgemm(q, model::transpose(k.plain.slice(split.all, mixed)), open);
  for (std::size_t i = 0; i < tile.rows(); ++i) {
    const std::size_t end = std::max(tile.end(side, i), split.all);
    std::copy(open.view().row(i) + (end - split.all), open.view().row(i) + mixed, weight.row(i) + end);
  }
}

// out = weights v with the form of each value that its query sees. Moves the weights of open values of the mixed slots.
void mix(const Tile& tile, Rows weight, const Forms& v, Rows out) {
  const Side& side = tile.pass.rules.v;
  const Split split(tile.pass, side, tile.first, tile.last);
  const std::size_t mixed = split.some - split.all;
  Matrix open = Matrix::zeros(tile.rows(), mixed);
  for (std::size_t i = 0; i < tile.rows(); ++i) {
    const std::size_t end = std::max(tile.end(side, i), split.all);
    for (std::size_t t = end; t < split.some; ++t) {
      open.view().row(i)[t - split.all] = weight.row(i)[t];
      weight.row(i)[t] = 0;
    }
    std::fill_n(out.row(i), out.columns, 0.0f);
  }
  const auto add = [&](ConstRows values, std::size_t from, std::size_t to) {
    model::sgemm(weight.part(from, to - from), values.slice(from, to - from), out, model::Sum::add);
  };
  add(v.plain, 0, split.sinks);
  add(v.sealed, split.sinks, split.some);
  add(v.plain, split.some, tile.last);
  model::sgemm(open, v.plain.slice(split.all, mixed), out, model::Sum::add);
}

// Adds phi_q(q_n) . phi_k(e_i) to the weights of the sealed slots that query n sees: numerator and denominator terms of
// the correction, relative to the maximum as the weights are.
void correct(const Tile& tile, const HeadFeatures& features, Rows weight, std::vector<double>& sum) {
  const Side& side = tile.pass.rules.k;
  const Split split(tile.pass, side, tile.first, tile.last);
  const std::size_t width = split.some - split.sinks, group = features.query.size();
  Matrix added(tile.rows(), width);
  model::sgemm(features.query[tile.head % group].view().slice(tile.first, tile.rows()),
               model::transpose(features.key.view().slice(split.sinks, width)), added);
  for (std::size_t i = 0; i < tile.rows(); ++i) {
    const std::size_t end = std::min(tile.end(side, i), tile.first + i + 1);
    for (std::size_t t = split.sinks; t < end; ++t) {
      const float term = added.view().row(i)[t - split.sinks];
      weight.row(i)[t] += term;
      sum[i] += term;
    }
  }
}

void attend_tile(const Tile& tile, const Forms& k, const Forms& v, const HeadFeatures* features) {
  const model::AttentionShape& shape = tile.pass.call.shape;
  const Rows out =
      tile.pass.call.output.part(tile.head * shape.head_dim, shape.head_dim).slice(tile.first, tile.rows());
  static thread_local Matrix buffer;
  buffer.resize(tile.rows(), tile.last);
  const Rows weight = buffer;
  logits(tile, k, weight);
  std::vector<double> sum(tile.rows());
  for (std::size_t i = 0; i < tile.rows(); ++i) {
    const std::size_t seen = tile.first + i + 1, begin = tile.begin(i);
    sum[i] = model::exp_row(weight.row(i) + begin, shape.scale, seen - begin);
    std::fill_n(weight.row(i), begin, 0.0f);
    std::fill(weight.row(i) + seen, weight.row(i) + tile.last, 0.0f);
  }
  if (features != nullptr) correct(tile, *features, weight, sum);
  mix(tile, weight, v, out);
  for (std::size_t i = 0; i < tile.rows(); ++i) {
    const float factor = static_cast<float>(1 / sum[i]);
    for (std::size_t c = 0; c < shape.head_dim; ++c) out.row(i)[c] *= factor;
  }
}

}  // namespace

model::AttentionStats ViewAttention::apply(const model::AttentionCall& call) {
  auto* cache = dynamic_cast<Cache*>(call.sequence.cache);
  const auto* policy = cache == nullptr ? nullptr : dynamic_cast<const WindowPolicy*>(&cache->policy());
  if (policy == nullptr) throw std::logic_error("kv: this view needs a kv::Cache with a policy of windows");
  if (call.sequence.first_position != 0) throw std::logic_error("kv: this view needs a pass that begins the text");
  const Pass pass{call, policy->rules(call.shape.layer), view_, prompt_};
  const std::size_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads, rows = call.q.rows;
  std::vector<Forms> k, v;
  for (std::size_t h = 0; h < call.shape.kv_heads; ++h) {
    const model::KeyValues sealed = cache->read(call.shape.layer, h);
    k.push_back({sealed.k, call.k.part(h * d, d)});
    v.push_back({sealed.v, call.v.part(h * d, d)});
  }
  std::vector<HeadFeatures> features;
  if (const auto* corrected = dynamic_cast<const CorrectedPolicy*>(policy); corrected != nullptr) {
    refuse_window(call.shape.window);
    features.resize(call.shape.kv_heads);
    call.threads.parallel_for(features.size(), [&](std::size_t h) {
      features[h] = head_features(corrected->corrections().at(call.shape.layer, h), k[h].plain, k[h].sealed,
                                  call.q.part(h * group * d, group * d));
    });
  }
  const std::size_t tiles = (rows + model::kQueryTile - 1) / model::kQueryTile;
  call.threads.parallel_for(tiles * call.shape.heads, [&](std::size_t task) {
    // the last tiles see most keys: begin with them
    const std::size_t head = task % call.shape.heads, h = head / group;
    const std::size_t first = (tiles - 1 - task / call.shape.heads) * model::kQueryTile;
    const Tile tile{pass, head, first, std::min(first + model::kQueryTile, rows)};
    attend_tile(tile, k[h], v[h], features.empty() ? nullptr : &features[h]);
  });
  model::AttentionStats stats;
  const std::size_t window =
      call.shape.window == 0 ? rows : std::min(rows, static_cast<std::size_t>(call.shape.window));
  const auto w = static_cast<double>(window), beyond = static_cast<double>(rows - window);
  stats.causal_pairs = stats.attended_pairs = static_cast<double>(call.shape.heads) * (w * (w + 1) / 2 + beyond * w);
  stats.flops = 4 * static_cast<double>(d) * stats.causal_pairs;
  return stats;
}

}  // namespace lowbit::kv
