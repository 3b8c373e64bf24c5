#include "experiments/papers/int_vs_fp/tensor_measure.hpp"

#include <algorithm>
#include <cmath>

#include "experiments/papers/int_vs_fp/tensor_run.hpp"
#include "sim/metric/crest_factor.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr std::size_t kRotation = 32;

using SharedSource = std::shared_ptr<const TensorSource>;
using SharedWindow = std::shared_ptr<const TensorSource::Window>;

SharedSource make_source(const Point& p, Rng) {
  return std::make_shared<const TensorSource>(Selection::of(p), p.threads());
}

SharedWindow make_window(const Point& p, Rng) {
  return p.shared<SharedSource>("source")->window(static_cast<std::size_t>(p.integer("sequence")), p.threads());
}

std::optional<OperandMatrix> make_values(const Point& p, Rng rng) {
  const auto& source = *p.shared<SharedSource>("source");
  auto values = source.load(operand_of(source.operands(), p.text("tensor")),
                            static_cast<std::size_t>(p.integer("sequence")), *p.shared<SharedWindow>("window"));
  if (values && p.text("transform") == "rhad")
    values->x = rotated(values->x, values->layout(), kRotation, rng.word64());
  return values;
}

bool is_expectation(const std::string& quantity) {
  return quantity.find("operands=") != quantity.npos || quantity.starts_with("kappa32_mean") ||
         quantity.starts_with("tail_percent");
}

}  // namespace

Experiment on_tensors(Experiment experiment, std::int64_t default_sequences, const char* default_tensors) {
  return with_tensor_axes(std::move(experiment), default_sequences, default_tensors)
      .axis("transform", texts({"id", "rhad"}), "",
            "rhad: random signs and Hadamard of order 32 along the blocked axis")
      .draws_vary_with({"tensor", "sequence"})
      .shared("source", {}, make_source)
      .shared("window", {"sequence"}, make_window)
      .shared("values", {"sequence", "tensor", "transform"}, make_values)
      .output("role", "1", "0 W, 1 X, 2 dY, 3 W^T, 4 X^T, 5 dY^T")
      .quick("tensors=sample");
}

const Operand& operand_at(const Point& p) {
  return operand_of(p.shared<SharedSource>("source")->operands(), p.text("tensor"));
}

double measured_qsnr(const Format& format, const OperandMatrix& values) {
  const double qsnr = tensor_qsnr(format, values.layout(), values.x);
  return std::isfinite(qsnr) ? qsnr : std::nan("");
}

double mean_crest_factor(const OperandMatrix& values, long group) {
  const std::size_t size = group == kChannelGroup ? values.columns : static_cast<std::size_t>(group);
  CrestMean mean;
  RowParts parts;
  for (std::size_t row = 0; row < values.rows; ++row) {
    parts.make(values.x.data() + row * values.columns, values.columns);
    for_each_block(parts, 0, values.columns, size, [&](const BlockPower& block) { mean.add(block); });
  }
  return mean.result().mean;
}

std::vector<Row> with_notes(std::vector<Row> rows, const Results& results, const std::vector<Reference>& references) {
  const auto& sequences = results.coordinates("sequence");
  const bool has_weights = std::find(sequences.begin(), sequences.end(), Value(0)) != sequences.end();
  const std::string what =
      describe(Selection::of(results.params())) + (has_weights ? "" : "; without weights, which stand at sequence 0");
  for (Row& row : rows) row.note += (row.note.empty() ? "" : "; ") + what;
  for (const Reference& reference : references) {
    const auto same = [&](const Row& row) { return row.quantity == reference.quantity; };
    if (!is_expectation(reference.quantity) || std::any_of(rows.begin(), rows.end(), same)) continue;
    Row row;
    row.quantity = reference.quantity;
    row.note = has_weights
                   ? "needs tensors of all layers: scripts/get-model smollm2-135m, then int_vs_fp with --tensors "
                     "model:smollm2-135m (the default once the model is there)"
                   : "needs weights, which stand at sequence 0: --set sequence=... leaves it out";
    rows.push_back(row);
  }
  return rows;
}

}  // namespace lowbit::int_vs_fp
