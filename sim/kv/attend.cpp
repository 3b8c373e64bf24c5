#include "sim/kv/attend.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "sim/kv/clones.hpp"
#include "sim/model/math.hpp"

namespace lowbit::kv {
namespace {

constexpr std::size_t kLanes = 16, kTile = 64;

LOWBIT_KV_CLONES float lanes(const float* x, const float* y, std::size_t n) {
  float lane[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] += x[i + j] * y[i + j];
  for (std::size_t j = 0; i < n; ++i, ++j) lane[j] += x[i] * y[i];
  for (std::size_t width = kLanes / 2; width > 0; width /= 2)
    for (std::size_t j = 0; j < width; ++j) lane[j] += lane[j + width];
  return lane[0];
}

// Logits of the queries and the keys of a tile: out queries x keys.
LOWBIT_KV_CLONES void any_logits(const float* q, ConstRows keys, float* out) {
  for (std::size_t t = 0; t < keys.rows; ++t) {
    const float* x = keys.row(t);
    float lane[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= keys.columns; i += kLanes)
      for (std::size_t j = 0; j < kLanes; ++j) lane[j] += q[i + j] * x[i + j];
    for (std::size_t j = 0; i < keys.columns; ++i, ++j) lane[j] += q[i] * x[i];
    for (std::size_t width = kLanes / 2; width > 0; width /= 2)
      for (std::size_t j = 0; j < width; ++j) lane[j] += lane[j + width];
    out[t] = lane[0];
  }
}

LOWBIT_KV_CLONES void any_sums(const float* weights, ConstRows values, float* sum) {
  for (std::size_t t = 0; t < values.rows; ++t) {
    const float w = weights[t];
    for (std::size_t c = 0; c < values.columns; ++c) sum[c] += w * values.row(t)[c];
  }
}

void tile_logits(ConstRows q, ConstRows keys, Rows out) {
  if (float_logits(keys, q, out)) return;
  for (std::size_t i = 0; i < q.rows; ++i) any_logits(q.row(i), keys, out.row(i));
}

void add_values(ConstRows weights, ConstRows values, Rows sums) {
  if (float_sums(values, weights, sums)) return;
  for (std::size_t i = 0; i < sums.rows; ++i) any_sums(weights.row(i), values, sums.row(i));
}

// consume(first slot, tile) over the slots of a stream, tile by tile; parts that `reads` leaves out are skipped, and so
// are those for which packed(first slot, slots, block) answers that it has done them.
template <class Packed, class Consume>
void for_each_tile(const Stream& stream, std::size_t channel, std::size_t head_dim, Matrix& buffer,
                   const Selection& reads, Packed packed, Consume consume) {
  buffer.resize(kTile, stream.width());
  std::size_t first = 0;
  for (std::size_t p = 0; p < stream.parts(); first += stream.part_slots(p++)) {
    const std::size_t slots = stream.part_slots(p);
    if (reads && !reads(stream.part(p))) continue;
    const Block* block = stream.width() == head_dim ? stream.whole_block(p) : nullptr;
    if (const Block* next = block != nullptr && p + 1 < stream.parts() ? stream.whole_block(p + 1) : nullptr)
      next->prefetch();
    if (block != nullptr && packed(first, slots, *block)) continue;
    const ConstRows open = stream.open_rows(p);
    for (std::size_t t = 0; t < slots; t += kTile) {
      const std::size_t n = std::min(kTile, slots - t);
      const Rows tile = buffer.view().slice(0, n);
      if (open.rows == 0) stream.read(p, t, tile);
      consume(first + t, (open.rows == 0 ? ConstRows(tile) : open.slice(t, n)).part(channel, head_dim));
    }
  }
}

bool decoded(std::size_t, std::size_t, const Block&) {
  return false;
}

// Rows as keys: own basis, RoPE at their positions.
void turn_keys(const HeadReader& reader, Rows tile, const std::int64_t* positions) {
  if (reader.k_basis != nullptr)
    for (std::size_t t = 0; t < tile.rows; ++t)
      reader.k_basis->inverse(tile.row(t), tile.row(t), tile.columns / reader.k_basis->block());
  if (reader.rope != nullptr) model::Rope::apply(tile, reader.rope->table(positions, tile.rows));
}

Matrix turned(const Transform* basis, ConstRows rows) {
  Matrix out(rows.rows, rows.columns);
  model::copy_rows(rows, out);
  if (basis != nullptr) basis->forward(out.data(), out.data(), rows.rows * rows.columns / basis->block());
  return out;
}

}  // namespace

float lane_dot(const float* x, const float* y, std::size_t n) {
  return lanes(x, y, n);
}

void attend(const HeadReader& reader, ConstRows q, std::int64_t position, float scale, Rows out, const Terms* terms,
            std::vector<float>* mass) {
  const std::size_t slots = reader.k->slots(), d = reader.head_dim;
  assert(reader.v->slots() == slots && q.columns == d);
  const bool turn_rows = reader.rope != nullptr;  // RoPE comes between the basis and the dot product
  const Matrix query = turned(turn_rows ? nullptr : reader.k_basis, q);
  Matrix buffer, keys, logits(q.rows, slots);
  if (reader.reads) std::fill_n(logits.data(), q.rows * slots, -INFINITY);  // what is left out has no weight
  bool any = false;
  const auto hide = [&](std::size_t first, std::size_t count) {  // slots at later positions, or before the window
    if (reader.window == 0 && reader.k->latest_position() <= position) {
      any = any || count > 0;
      return;
    }
    for (std::size_t t = first; t < first + count; ++t) {
      const std::int64_t own = reader.k->positions()[t];
      const bool seen = own <= position && (reader.window == 0 || own > position - reader.window);
      any = any || seen;
      for (std::size_t i = 0; i < q.rows && !seen; ++i) logits.view().row(i)[t] = -INFINITY;
    }
  };
  const auto packed_keys = [&](std::size_t first, std::size_t count, const Block& block) {
    if (turn_rows || !block.logits(0, query.view(), reader.math, logits.view().part(first, count))) return false;
    hide(first, count);
    return true;
  };
  for_each_tile(*reader.k, reader.k_channel, d, buffer, reader.reads, packed_keys,
                [&](std::size_t first, ConstRows tile) {
                  if (turn_rows) {
                    keys.resize(kTile, d);
                    const Rows rows = keys.view().slice(0, tile.rows);
                    model::copy_rows(tile, rows);
                    turn_keys(reader, rows, reader.k->positions() + first);
                    tile = rows;
                  }
                  tile_logits(query.view(), tile, logits.view().part(first, tile.rows));
                  hide(first, tile.rows);
                });
  std::vector<double> sum(q.rows);
  std::vector<float> maximum(q.rows, 0.0f);
  Matrix result = Matrix::zeros(q.rows, d);
  for (std::size_t i = 0; i < q.rows && any; ++i) {
    float* row = logits.view().row(i);
    if (terms != nullptr) maximum[i] = *std::max_element(row, row + slots) * scale;
    sum[i] = model::exp_row(row, scale, slots);
  }
  const auto packed_values = [&](std::size_t first, std::size_t count, const Block& block) {
    return block.add_rows_to(0, logits.view().part(first, count), reader.math, result.view());
  };
  if (any)
    for_each_tile(*reader.v, reader.v_channel, d, buffer, {}, packed_values, [&](std::size_t first, ConstRows tile) {
      add_values(logits.view().part(first, tile.rows), tile, result.view());
    });
  if (mass != nullptr && any)
    for (std::size_t i = 0; i < q.rows; ++i)
      for (std::size_t j = 0; j < slots; ++j) (*mass)[j] += static_cast<float>(logits.view().row(i)[j] / sum[i]);
  for (std::size_t i = 0; i < q.rows; ++i) {
    float* y = result.view().row(i);
    if (terms != nullptr) terms->add(i, maximum[i], y, sum[i]);
    const float factor = sum[i] == 0 ? 0.0f : static_cast<float>(1 / sum[i]);
    for (std::size_t c = 0; c < d; ++c) y[c] *= factor;
  }
  if (reader.v_basis != nullptr)
    reader.v_basis->inverse(result.data(), result.data(), q.rows * d / reader.v_basis->block());
  model::copy_rows(result.view(), out);
}

void read_head(const HeadReader& reader, Matrix& k, Matrix& v) {
  const std::size_t slots = reader.k->slots(), d = reader.head_dim;
  k.resize(slots, d);
  v.resize(slots, d);
  Matrix buffer;
  for_each_tile(*reader.k, reader.k_channel, d, buffer, reader.reads, decoded, [&](std::size_t first, ConstRows tile) {
    const Rows rows = k.view().slice(first, tile.rows);
    model::copy_rows(tile, rows);
    turn_keys(reader, rows, reader.k->positions() + first);
  });
  for_each_tile(*reader.v, reader.v_channel, d, buffer, {}, decoded,
                [&](std::size_t first, ConstRows tile) { model::copy_rows(tile, v.view().slice(first, tile.rows)); });
  if (reader.v_basis != nullptr) reader.v_basis->inverse(v.data(), v.data(), slots * d / reader.v_basis->block());
}

}  // namespace lowbit::kv
