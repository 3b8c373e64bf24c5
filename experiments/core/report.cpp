#include "experiments/core/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "experiments/core/plan.hpp"

namespace lowbit {

std::string_view to_string(Verdict verdict) {
  constexpr std::string_view kNames[] = {"within", "outside", "no_band", "not_run"};
  return kNames[static_cast<int>(verdict)];
}

Verdict verdict_of(const Row& row) {
  if (std::isnan(row.ours)) return Verdict::not_run;
  if (!row.band || !row.judged) return Verdict::no_band;
  return row.band->contains(row.ours) ? Verdict::within : Verdict::outside;
}

const Params& Results::params() const {
  return plan_.params;
}

const std::vector<Value>& Results::coordinates(std::string_view name) const {
  if (const PlannedAxis* axis = plan_.coordinate(name)) return axis->values;
  throw std::logic_error(fmt::format("{} has no axis or dim '{}'", plan_.experiment->name, name));
}

namespace {

std::size_t output_number(const Plan& plan, std::string_view name) {
  const auto& outputs = plan.experiment->outputs;
  for (std::size_t o = 0; o < outputs.size(); ++o)
    if (outputs[o].name == name) return o;
  throw std::logic_error(fmt::format("{} has no output '{}'", plan.experiment->name, name));
}

std::vector<const PlannedAxis*> dimensions(const Plan& plan, const OutputDeclaration& output) {
  std::vector<const PlannedAxis*> all;
  for (const PlannedAxis& axis : plan.axes) all.push_back(&axis);
  for (const std::string& dim : output.dims) all.push_back(plan.coordinate(dim));
  return all;
}

/// As the axis stores it: formats in their canonical spelling.
Value canonical(const PlannedAxis& axis, const Value& value) {
  if (value.kind() == Kind::text && axis.domain.canonical) return axis.domain.canonical(value.text());
  return value;
}

constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);

/// Position of the coordinate that `where` gives for `axis`, kAbsent if this run does not have it.
std::size_t pick(const Plan& plan, const PlannedAxis& axis, const Coordinates& where) {
  for (const auto& [name, value] : where) {
    if (name != axis.name) continue;
    const Value wanted = canonical(axis, value);
    const auto found = std::find(axis.values.begin(), axis.values.end(), wanted);
    return found == axis.values.end() ? kAbsent : static_cast<std::size_t>(found - axis.values.begin());
  }
  if (axis.values.size() == 1) return 0;
  throw std::logic_error(fmt::format("{}: coordinate of '{}' is not given", plan.experiment->name, axis.name));
}

void refuse_unknown(const std::vector<const PlannedAxis*>& dims, std::string_view output, const Coordinates& where) {
  for (const auto& [name, value] : where)
    if (std::none_of(dims.begin(), dims.end(), [&, &key = name](const PlannedAxis* d) { return d->name == key; }))
      throw std::logic_error(fmt::format("output '{}' has no dimension '{}'", output, name));
}

}  // namespace

double Results::at(std::string_view output, const Coordinates& where) const {
  const std::size_t o = output_number(plan_, output);
  const auto dims = dimensions(plan_, plan_.experiment->outputs[o]);
  refuse_unknown(dims, output, where);
  std::size_t flat = 0;
  for (const PlannedAxis* axis : dims) {
    const std::size_t i = pick(plan_, *axis, where);
    if (i == kAbsent) return std::numeric_limits<double>::quiet_NaN();
    flat = flat * axis->values.size() + i;
  }
  return outputs_[o][flat];
}

std::vector<double> Results::along(std::string_view output, std::string_view axis, const Coordinates& where) const {
  const std::size_t o = output_number(plan_, output);
  const auto dims = dimensions(plan_, plan_.experiment->outputs[o]);
  refuse_unknown(dims, output, where);
  std::size_t start = 0, stride = 0, count = 0;
  for (const PlannedAxis* dim : dims) {
    start *= dim->values.size();
    stride *= dim->values.size();
    if (dim->name == axis) {
      stride = 1;
      count = dim->values.size();
      continue;
    }
    const std::size_t i = pick(plan_, *dim, where);
    if (i == kAbsent) return {};
    start += i;
  }
  if (count == 0) throw std::logic_error(fmt::format("output '{}' has no dimension '{}'", output, axis));
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = outputs_[o][start + i * stride];
  return values;
}

const std::vector<double>& Results::all(std::string_view output) const {
  return outputs_[output_number(plan_, output)];
}

Rng Results::rng(std::string_view label) const {
  return Rng(plan_.seed, fmt::format("{}@{}", plan_.experiment->name, label));
}

namespace {

void fill_from(const Reference& reference, Row& row) {
  if (!row.reference) row.reference = reference.value;
  if (!row.band) row.band = reference.band;
  if (row.source.empty()) row.source = reference.source;
  if (row.unit.empty()) row.unit = reference.unit;
  if (!reference.note.empty()) row.note += (row.note.empty() ? "" : "; ") + reference.note;
}

}  // namespace

std::vector<Row> complete_rows(const std::string& figure, std::vector<Row> rows,
                               const std::vector<Reference>& references) {
  std::set<std::string> seen;
  for (Row& row : rows) {
    if (!seen.insert(row.quantity).second)
      throw std::logic_error(fmt::format("{}: two rows of quantity '{}'", figure, row.quantity));
    if (!std::isnan(row.ours) && !row.interval && !row.exact)
      throw std::logic_error(fmt::format("{}: row '{}' has neither an interval nor exact", figure, row.quantity));
  }
  for (const Reference& reference : references) {
    auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.quantity == reference.quantity; });
    if (row == rows.end()) row = rows.insert(rows.end(), Row{.quantity = reference.quantity});
    fill_from(reference, *row);
  }
  for (Row& row : rows) {
    row.figure = figure;
    if (row.unit.empty()) row.unit = std::string("1");
    if (std::isnan(row.ours)) row.interval.reset();
    if (!row.judged) row.band.reset();
  }
  return rows;
}

}  // namespace lowbit
