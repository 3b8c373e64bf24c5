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

// Logits of one query and the keys of a tile.
LOWBIT_KV_CLONES void tile_logits(const float* q, const float* keys, std::size_t rows, std::size_t d,
                                  std::size_t stride, float* logits) {
  for (std::size_t t = 0; t < rows; ++t) {
    const float* x = keys + t * stride;
    float lane[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= d; i += kLanes)
      for (std::size_t j = 0; j < kLanes; ++j) lane[j] += q[i + j] * x[i + j];
    for (std::size_t j = 0; i < d; ++i, ++j) lane[j] += q[i] * x[i];
    for (std::size_t width = kLanes / 2; width > 0; width /= 2)
      for (std::size_t j = 0; j < width; ++j) lane[j] += lane[j + width];
    logits[t] = lane[0];
  }
}

LOWBIT_KV_CLONES void add_values(const float* weights, const float* values, std::size_t rows, std::size_t d,
                                 std::size_t stride, float* sum) {
  for (std::size_t t = 0; t < rows; ++t) {
    const float w = weights[t];
    for (std::size_t c = 0; c < d; ++c) sum[c] += w * values[t * stride + c];
  }
}

// consume(first slot, tile) over the slots of a stream, tile by tile; parts that `reads` leaves out are skipped.
template <class Consume>
void for_each_tile(const Stream& stream, std::size_t channel, std::size_t head_dim, Matrix& buffer,
                   const Selection& reads, Consume consume) {
  buffer.resize(kTile, stream.width());
  std::size_t first = 0;
  for (std::size_t p = 0; p < stream.parts(); ++p) {
    const std::size_t slots = stream.part_slots(p);
    const ConstRows open = stream.open_rows(p);
    if (!reads || reads(stream.part(p)))
      for (std::size_t t = 0; t < slots; t += kTile) {
        const std::size_t n = std::min(kTile, slots - t);
        const Rows tile = buffer.view().slice(0, n);
        if (open.rows == 0) stream.read(p, t, tile);
        consume(first + t, (open.rows == 0 ? ConstRows(tile) : open.slice(t, n)).part(channel, head_dim));
      }
    first += slots;
  }
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
  for (std::size_t i = 0; i < q.rows; ++i) std::fill_n(logits.view().row(i), slots, -INFINITY);
  std::vector<bool> seen(slots);
  for_each_tile(*reader.k, reader.k_channel, d, buffer, reader.reads, [&](std::size_t first, ConstRows tile) {
    if (turn_rows) {
      keys.resize(kTile, d);
      const Rows rows = keys.view().slice(0, tile.rows);
      model::copy_rows(tile, rows);
      turn_keys(reader, rows, reader.k->positions() + first);
      tile = rows;
    }
    for (std::size_t i = 0; i < q.rows; ++i)
      tile_logits(query.view().row(i), tile.data, tile.rows, d, tile.stride, logits.view().row(i) + first);
    for (std::size_t t = 0; t < tile.rows; ++t) {
      seen[first + t] = reader.k->positions()[first + t] <= position;
      if (!seen[first + t])
        for (std::size_t i = 0; i < q.rows; ++i) logits.view().row(i)[first + t] = -INFINITY;
    }
  });
  const bool any = std::find(seen.begin(), seen.end(), true) != seen.end();
  std::vector<double> sum(q.rows);
  std::vector<float> maximum(q.rows, 0.0f);
  Matrix result = Matrix::zeros(q.rows, d);
  for (std::size_t i = 0; i < q.rows && any; ++i) {
    float* row = logits.view().row(i);
    maximum[i] = *std::max_element(row, row + slots) * scale;
    sum[i] = model::exp_row(row, scale, slots);
  }
  if (any)
    for_each_tile(*reader.v, reader.v_channel, d, buffer, {}, [&](std::size_t first, ConstRows tile) {
      for (std::size_t i = 0; i < q.rows; ++i)
        add_values(logits.view().row(i) + first, tile.data, tile.rows, d, tile.stride, result.view().row(i));
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
  for_each_tile(*reader.k, reader.k_channel, d, buffer, reader.reads, [&](std::size_t first, ConstRows tile) {
    const Rows rows = k.view().slice(first, tile.rows);
    model::copy_rows(tile, rows);
    turn_keys(reader, rows, reader.k->positions() + first);
  });
  for_each_tile(*reader.v, reader.v_channel, d, buffer, {},
                [&](std::size_t first, ConstRows tile) { model::copy_rows(tile, v.view().slice(first, tile.rows)); });
  if (reader.v_basis != nullptr) reader.v_basis->inverse(v.data(), v.data(), slots * d / reader.v_basis->block());
}

}  // namespace lowbit::kv
