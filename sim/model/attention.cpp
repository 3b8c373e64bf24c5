#include "sim/model/attention.hpp"

#include <algorithm>
#include <vector>

#include "sim/model/math.hpp"
#include "sim/model/sgemm.hpp"

namespace lowbit::model {
namespace {

struct KeyRange {
  std::size_t first = 0, last = 0;  // keys first .. last - 1
};

// Keys that a query at `position` sees.
KeyRange visible(const KeyValues& kv, std::int64_t position, std::int64_t window) {
  const std::int64_t* begin = kv.positions;
  const std::int64_t* end = begin + kv.k.rows;
  KeyRange range;
  // a token that is generated sees all keys: searching for the last would wait for memory
  range.last = begin == end || end[-1] <= position
                   ? kv.k.rows
                   : static_cast<std::size_t>(std::upper_bound(begin, end, position) - begin);
  if (window > 0)
    range.first = static_cast<std::size_t>(std::upper_bound(begin, begin + range.last, position - window) - begin);
  return range;
}

// Softmax weights of a tile of queries for one head, not normalised: weight(i, j) for key span.first + j, zero where
// the mask forbids; sum(i) in double.
struct Tile {
  std::size_t row = 0, rows = 0;
  KeyRange span;
  std::vector<KeyRange> range;  // of each row
  std::vector<float> weight;    // rows x (span.last - span.first)
  std::vector<double> sum;
  std::size_t width() const { return span.last - span.first; }
};

void set_ranges(Tile& tile, const AttentionCall& call, const KeyValues& kv) {
  tile.range.resize(tile.rows);
  tile.span = {kv.k.rows, 0};
  for (std::size_t i = 0; i < tile.rows; ++i) {
    tile.range[i] = visible(kv, call.positions[tile.row + i], call.shape.window);
    tile.span.first = std::min(tile.span.first, tile.range[i].first);
    tile.span.last = std::max(tile.span.last, tile.range[i].last);
  }
  tile.span.first = std::min(tile.span.first, tile.span.last);
}

void softmax_tile(Tile& tile, const AttentionCall& call, const KeyValues& kv, std::size_t head) {
  set_ranges(tile, call, kv);
  const std::size_t width = tile.width(), d = call.shape.head_dim;
  tile.weight.resize(std::max(tile.weight.size(), tile.rows * width));
  tile.sum.assign(tile.rows, 0);
  if (width == 0) return;
  sgemm(call.q.slice(tile.row, tile.rows).part(head * d, d), transpose(kv.k.slice(tile.span.first, width)),
        Rows(tile.weight.data(), tile.rows, width));
  for (std::size_t i = 0; i < tile.rows; ++i) {
    float* row = tile.weight.data() + i * width;
    const std::size_t first = tile.range[i].first - tile.span.first, last = tile.range[i].last - tile.span.first;
    if (first < last) tile.sum[i] = exp_row(row + first, call.shape.scale, last - first);
    std::fill(row, row + first, 0.0f);
    std::fill(row + last, row + width, 0.0f);
  }
}

std::vector<KeyValues> read_heads(const AttentionCall& call) {
  std::vector<KeyValues> heads;
  for (std::size_t h = 0; h < call.shape.kv_heads; ++h) heads.push_back(call.read(h));
  return heads;
}

double inverse(double sum) {
  return sum == 0 ? 0 : 1 / sum;
}

// out = out / sum, zeros where the sum is zero.
void normalise(float* out, double sum, std::size_t n) {
  const float factor = static_cast<float>(inverse(sum));
  for (std::size_t c = 0; c < n; ++c) out[c] = sum == 0 ? 0.0f : out[c] * factor;
}

// The query of one row in heads first .. first + count - 1, which share keys and values and go over them together: all
// wait for memory, and the library would copy the keys first. Returns the number of keys that it sees.
std::size_t attend_row(const AttentionCall& call, const KeyValues& kv, std::size_t row, std::size_t first,
                       std::size_t count) {
  static thread_local Buffer values;
  static thread_local std::vector<double> sum;
  const KeyRange range = visible(kv, call.positions[row], call.shape.window);
  const std::size_t d = call.shape.head_dim, keys = range.last - range.first;
  values.resize(std::max(values.size(), count * keys));
  sum.assign(count, 0);
  const Rows weight(values.data(), count, keys), out(call.output.row(row) + first * d, count, d);
  for (std::size_t h = 0; h < count && keys > 0; ++h) {
    row_products(kv.k.slice(range.first, keys), call.q.row(row) + (first + h) * d, weight.row(h), Reading::again);
    sum[h] = exp_row(weight.row(h), call.shape.scale, keys);
  }
  weighted_sums(weight, kv.v.slice(range.first, keys), out);
  for (std::size_t h = 0; h < count; ++h) normalise(out.row(h), sum[h], d);
  return keys;
}

}  // namespace

KeyValues AttentionCall::read(std::size_t kv_head) const {
  if (sequence.cache != nullptr) return sequence.cache->read(shape.layer, kv_head);
  const std::size_t d = shape.head_dim;
  return {k.part(kv_head * d, d), v.part(kv_head * d, d), positions};
}

void AttentionStats::add(const AttentionStats& other) {
  causal_pairs += other.causal_pairs;
  attended_pairs += other.attended_pairs;
  flops += other.flops;
}

AttentionStats plain_attention(const AttentionCall& call) {
  const AttentionShape& shape = call.shape;
  const std::vector<KeyValues> heads = read_heads(call);
  const std::size_t d = shape.head_dim, group = shape.heads / shape.kv_heads;
  const std::size_t tiles = (call.q.rows + kQueryTile - 1) / kQueryTile;
  std::vector<double> pairs(tiles * shape.heads);
  const auto attend = [&](std::size_t index) {
    static thread_local Tile tile;
    const std::size_t head = index % shape.heads;
    // the last tiles see most keys: begin with them
    tile.row = (tiles - 1 - index / shape.heads) * kQueryTile;
    tile.rows = std::min(kQueryTile, call.q.rows - tile.row);
    const KeyValues& kv = heads[head / group];
    if (tile.rows == 1) {
      pairs[index] = static_cast<double>(attend_row(call, kv, tile.row, head, 1));
      return;
    }
    softmax_tile(tile, call, kv, head);
    const Rows out = call.output.part(head * d, d).slice(tile.row, tile.rows);
    const ConstRows v = kv.v.slice(tile.span.first, tile.width());
    if (tile.width() > 0) sgemm(ConstRows(tile.weight.data(), tile.rows, tile.width()), v, out);
    for (std::size_t i = 0; i < tile.rows; ++i) {
      normalise(out.row(i), tile.sum[i], d);
      pairs[index] += static_cast<double>(tile.range[i].last - tile.range[i].first);
    }
  };
  if (call.q.rows != 1) {
    call.threads.parallel_for(tiles * shape.heads, attend);
  } else {
    const std::size_t parts = std::min(call.threads.count(), shape.heads);
    call.threads.parallel_for(parts, [&](std::size_t part) {
      std::size_t head = (shape.heads * part + parts - 1) / parts;
      const std::size_t last = (shape.heads * (part + 1) + parts - 1) / parts;
      while (head < last) {
        const std::size_t next = std::min(last, (head / group + 1) * group);
        const auto keys = static_cast<double>(attend_row(call, heads[head / group], 0, head, next - head));
        for (; head < next; ++head) pairs[head] = keys;
      }
    });
  }
  AttentionStats stats;
  for (const double p : pairs) stats.causal_pairs += p;
  stats.attended_pairs = stats.causal_pairs;
  stats.flops = 4 * static_cast<double>(d) * stats.attended_pairs;
  return stats;
}

namespace {

struct HeadGradient {
  const AttentionCall& call;
  const KeyValues& kv;
  std::size_t head;
  ConstRows dout;  // of this head
  Rows dq;         // of this head
  Matrix& dk;      // keys x head_dim, this query head's share
  Matrix& dv;
};

// One tile of queries: with P the softmax, D_i = sum_j P_ij dP_ij, dS = P (dP - D): dQ = scale dS K, dK += scale dS^T
// Q, dV += P^T dO.
void add_tile_gradient(const HeadGradient& g, Tile& tile, std::vector<float>& dp) {
  softmax_tile(tile, g.call, g.kv, g.head);
  const std::size_t width = tile.width(), d = g.call.shape.head_dim;
  dp.resize(std::max(dp.size(), tile.rows * width));
  const Rows weight(tile.weight.data(), tile.rows, width), weight_gradient(dp.data(), tile.rows, width);
  const ConstRows dout = g.dout.slice(tile.row, tile.rows);
  for (std::size_t i = 0; i < tile.rows; ++i)
    scale_values(weight.row(i), static_cast<float>(inverse(tile.sum[i])), width);
  sgemm(transpose(weight), dout, g.dv.view().slice(tile.span.first, width), Sum::add);
  sgemm(dout, transpose(g.kv.v.slice(tile.span.first, width)), weight_gradient);
  for (std::size_t i = 0; i < tile.rows; ++i) {
    const float mean = static_cast<float>(dot(weight.row(i), weight_gradient.row(i), width));
    softmax_row_backward(weight.row(i), weight_gradient.row(i), mean, g.call.shape.scale, width);
  }
  sgemm(weight, g.kv.k.slice(tile.span.first, width), g.dq.slice(tile.row, tile.rows));
  sgemm(transpose(weight), g.call.q.slice(tile.row, tile.rows).part(g.head * d, d),
        g.dk.view().slice(tile.span.first, width), Sum::add);
}

// The shares of the query heads of a group, added in order.
void sum_group(const std::vector<Matrix>& share, std::size_t group, std::size_t head_dim, Rows out) {
  for (std::size_t head = 0; head < share.size(); ++head) {
    const Rows target = out.part(head / group * head_dim, head_dim);
    for (std::size_t t = 0; t < target.rows; ++t)
      for (std::size_t c = 0; c < head_dim; ++c) {
        const float value = share[head].view().row(t)[c];
        target.row(t)[c] = head % group == 0 ? value : target.row(t)[c] + value;
      }
  }
}

}  // namespace

void plain_attention_backward(const AttentionCall& call, ConstRows output_gradient, Rows dq, Rows dk, Rows dv) {
  const AttentionShape& shape = call.shape;
  const std::vector<KeyValues> heads = read_heads(call);
  const std::size_t d = shape.head_dim, group = shape.heads / shape.kv_heads;
  std::vector<Matrix> head_dk(shape.heads), head_dv(shape.heads);
  call.threads.parallel_for(shape.heads, [&](std::size_t head) {
    Tile tile;
    std::vector<float> dp;
    head_dk[head] = Matrix::zeros(call.k.rows, d);
    head_dv[head] = Matrix::zeros(call.k.rows, d);
    const HeadGradient gradient{
        call,          heads[head / group], head, output_gradient.part(head * d, d), dq.part(head * d, d),
        head_dk[head], head_dv[head]};
    for (tile.row = 0; tile.row < call.q.rows; tile.row += kQueryTile) {
      tile.rows = std::min(kQueryTile, call.q.rows - tile.row);
      add_tile_gradient(gradient, tile, dp);
    }
  });
  sum_group(head_dk, group, d, dk);
  sum_group(head_dv, group, d, dv);
}

}  // namespace lowbit::model
