#include "sim/kv/corrected.hpp"

#include <stdexcept>

#include "formats/error.hpp"

namespace lowbit::kv {
namespace {

std::vector<double> difference(ConstRows a, ConstRows b) {
  std::vector<double> out;
  for (std::size_t t = 0; t < a.rows; ++t)
    for (std::size_t c = 0; c < a.columns; ++c) out.push_back(static_cast<double>(a.row(t)[c]) - b.row(t)[c]);
  return out;
}

std::vector<double> doubles(ConstRows rows) {
  std::vector<double> out;
  for (std::size_t t = 0; t < rows.rows; ++t) out.insert(out.end(), rows.row(t), rows.row(t) + rows.columns);
  return out;
}

Matrix floats(const std::vector<double>& values, std::size_t columns) {
  Matrix out(values.size() / columns, columns);
  for (std::size_t i = 0; i < values.size(); ++i) out.data()[i] = static_cast<float>(values[i]);
  return out;
}

// Slots first .. first + count - 1 of a stream, turned back from `basis`.
Matrix rows_of(const Stream& stream, std::size_t first, std::size_t count, const Transform* basis) {
  std::vector<std::size_t> slots(count);
  for (std::size_t i = 0; i < count; ++i) slots[i] = first + i;
  Matrix out = stream.gather(slots);
  if (basis != nullptr) basis->inverse(out.data(), out.data(), count * out.columns() / basis->block());
  return out;
}

}  // namespace

void refuse_window(std::int64_t window) {
  if (window != 0)
    throw_error(ExitCode::usage,
                "corrections of models with a sliding window ({} tokens) are not known: their states cannot give up "
                "tokens; accepted: methods without adapters, models whose layers see all tokens",
                window);
}

HeadFeatures head_features(const Correction& correction, ConstRows k, ConstRows sealed, ConstRows q) {
  const std::size_t d = k.columns, features = correction.features();
  HeadFeatures out;
  out.key = floats(correction.key_features(difference(k, sealed)), features);
  for (std::size_t g = 0; g < q.columns / d; ++g)
    out.query.push_back(floats(correction.query_features(g, doubles(q.part(g * d, d))), features));
  return out;
}

CorrectedPolicy::CorrectedPolicy(std::vector<LayerRules> layers, const model::Rope* rope,
                                 std::shared_ptr<const Corrections> corrections)
    : WindowPolicy(std::move(layers), rope), corrections_(std::move(corrections)) {
  for (std::size_t layer = 0; layer * corrections_->kv_heads < corrections_->heads.size(); ++layer) {
    const LayerRules& own = rules(static_cast<int>(layer));
    if (own.k.before_rope || own.k.whole_layer || own.k.window.kind != own.v.window.kind ||
        own.k.window.residual != own.v.window.residual || own.k.window.sinks != own.v.window.sinks)
      throw std::invalid_argument("kv: a correction needs keys after RoPE and values that are sealed with them");
  }
}

std::vector<double>& CorrectedPolicy::state(int layer, std::size_t head, Storage& storage) const {
  const std::size_t d = storage.stream("k", head).width();
  return storage.state("correction", head, corrections_->at(layer, head).features() * (d + 1));
}

void CorrectedPolicy::begin(int layer, const LayerShape& shape, Storage& storage) {
  WindowPolicy::begin(layer, shape, storage);
  for (std::size_t head = 0; head < shape.kv_heads; ++head) state(layer, head, storage);
}

void CorrectedPolicy::settle(int layer, Storage& storage) {
  const Side& side = rules(layer).k;
  struct Due {
    std::size_t first, count;
    Matrix keys;
  };
  std::vector<Due> due;
  for (std::size_t head = 0; head < storage.heads("k"); ++head) {
    const Stream& k = storage.stream("k", head);
    const std::size_t first = side.window.sinks + k.sealed(), end = std::max(side.end(k.slots()), first);
    due.push_back({first, end - first, rows_of(k, first, end - first, side.basis_of(head))});
  }
  WindowPolicy::settle(layer, storage);
  for (std::size_t head = 0; head < due.size(); ++head) {
    const auto& [first, count, keys] = due[head];
    if (count == 0) continue;
    const HeadReader reader = this->reader(layer, head, storage);
    const Matrix kept = rows_of(*reader.k, first, count, reader.k_basis),
                 values = rows_of(*reader.v, first, count, nullptr);
    corrections_->at(layer, head)
        .add_state(difference(keys.view(), kept.view()).data(),
                   doubles(values.view().part(reader.v_channel, reader.head_dim)).data(), count,
                   state(layer, head, storage));
  }
}

std::unique_ptr<Terms> CorrectedPolicy::terms(int layer, std::size_t head, ConstRows q, Storage& storage) const {
  return std::make_unique<CorrectionTerms>(corrections_->at(layer, head), q, state(layer, head, storage));
}

}  // namespace lowbit::kv
