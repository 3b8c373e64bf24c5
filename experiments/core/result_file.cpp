#include "experiments/core/result_file.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"
#include "results/store/schema.hpp"

namespace lowbit {
namespace {

using store::Array;
using store::ArrayData;
using store::Group;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ArrayData column(const std::vector<Value>& values) {
  if (values.front().kind() == Kind::text) {
    std::vector<std::string> texts;
    for (const Value& v : values) texts.push_back(v.text());
    return texts;
  }
  if (values.front().kind() == Kind::integer) {
    std::vector<std::int64_t> integers;
    for (const Value& v : values) integers.push_back(v.integer());
    return integers;
  }
  std::vector<double> reals;
  for (const Value& v : values) reals.push_back(v.real());
  return reals;
}

/// A group that is a table: columns over the dim `row`.
class Table {
 public:
  Table(std::string name, std::size_t rows) : rows_(rows) {
    group_.name = std::move(name);
    std::vector<std::int64_t> numbers(rows);
    for (std::size_t i = 0; i < rows; ++i) numbers[i] = static_cast<std::int64_t>(i);
    group_.add_coordinate("row", std::move(numbers), "1", "number of the row");
  }
  Table& add(const std::string& name, ArrayData data) {
    group_.arrays.push_back({name, {"row"}, {rows_}, std::move(data), {}});
    return *this;
  }
  template <class Items, class F>
  Table& add(const std::string& name, const Items& items, const F& field) {
    std::vector<std::decay_t<std::invoke_result_t<F, const typename Items::value_type&>>> values;
    for (const auto& item : items) values.push_back(field(item));
    return add(name, ArrayData(std::move(values)));
  }
  Group take() { return std::move(group_); }

 private:
  std::size_t rows_;
  Group group_;
};

Group params_group(const Plan& plan) {
  Group group{"params", {}, {}, {}};
  for (const auto& [name, value] : plan.params.all()) {
    if (value.kind() == Kind::text)
      group.set(name, value.text());
    else if (value.kind() == Kind::integer)
      group.set(name, value.integer());
    else
      group.set(name, value.real());
  }
  std::vector<std::string> lines;
  std::string text = plan.config_text();
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  const std::size_t n = lines.size();
  group.arrays.push_back({"config", {}, {n}, std::move(lines), {}});
  return group;
}

Group reference_group(const Declaration& d) {
  Group group{"reference", {}, {}, {}};
  if (!d.references.empty()) {
    const auto& list = d.references;
    group = Table("reference", list.size())
                .add("quantity", list, [](const Reference& r) { return r.quantity; })
                .add("value", list, [](const Reference& r) { return r.value.value_or(kNan); })
                .add("unit", list, [](const Reference& r) { return r.unit; })
                .add("band_low", list, [](const Reference& r) { return r.band ? r.band->low : kNan; })
                .add("band_high", list, [](const Reference& r) { return r.band ? r.band->high : kNan; })
                .add("source", list, [](const Reference& r) { return r.source; })
                .add("note", list, [](const Reference& r) { return r.note; })
                .take();
  }
  for (const ReferenceTable& table : d.tables) {
    Table child(table.name, table.columns.at(0).second.size());
    for (const auto& [name, values] : table.columns) child.add(name, column(values));
    Group made = child.take();
    made.set("source", table.source);
    group.groups.push_back(std::move(made));
  }
  return group;
}

/// Long form and bits of every format that the run names, wherever it names it.
Group formats_group(const Plan& plan) {
  struct Named {
    std::string name;
    FormatFacts facts;
  };
  std::vector<Named> formats;
  std::set<std::string> seen;
  const auto take = [&](const Domain& domain, const Value& value) {
    if (domain.format_facts && seen.insert(value.text()).second)
      formats.push_back({value.text(), domain.format_facts(value.text())});
  };
  for (const auto* list : {&plan.axes, &plan.dims})
    for (const PlannedAxis& axis : *list)
      for (const Value& value : axis.values) take(axis.domain, value);
  for (const ParamDeclaration& param : plan.experiment->params) take(param.domain, plan.params.at(param.name));
  if (formats.empty()) return {"formats", {}, {}, {}};
  return Table("formats", formats.size())
      .add("name", formats, [](const Named& f) { return f.name; })
      .add("long_form", formats, [](const Named& f) { return f.facts.long_form; })
      .add("bits_per_value", formats, [](const Named& f) { return f.facts.bits_per_value; })
      .take();
}

Group report_group(const std::vector<Row>& rows) {
  if (rows.empty()) return {"report", {}, {}, {}};
  return Table("report", rows.size())
      .add("figure", rows, [](const Row& r) { return r.figure; })
      .add("quantity", rows, [](const Row& r) { return r.quantity; })
      .add("ours", rows, [](const Row& r) { return r.ours; })
      .add("unit", rows, [](const Row& r) { return r.unit; })
      .add("interval_low", rows, [](const Row& r) { return r.interval ? r.interval->low : kNan; })
      .add("interval_high", rows, [](const Row& r) { return r.interval ? r.interval->high : kNan; })
      .add("exact", rows, [](const Row& r) { return static_cast<std::uint8_t>(r.exact); })
      .add("reference", rows, [](const Row& r) { return r.reference.value_or(kNan); })
      .add("reference_source", rows, [](const Row& r) { return r.source; })
      .add("band_low", rows, [](const Row& r) { return r.band ? r.band->low : kNan; })
      .add("band_high", rows, [](const Row& r) { return r.band ? r.band->high : kNan; })
      .add("verdict", rows, [](const Row& r) { return std::string(to_string(verdict_of(r))); })
      .add("note", rows, [](const Row& r) { return r.note; })
      .take();
}

void add_data(Group& root, const Plan& plan, const Computed& computed) {
  std::vector<std::string> axis_names;
  std::vector<std::size_t> axis_shape;
  for (const PlannedAxis& axis : plan.axes) {
    root.add_coordinate(axis.name, column(axis.values), axis.unit, axis.help);
    axis_names.push_back(axis.name);
    axis_shape.push_back(axis.values.size());
  }
  if (plan.axes.empty()) {
    root.add_coordinate("point", std::vector<std::int64_t>{0}, "1", "the only point");
    axis_names = {"point"};
    axis_shape = {1};
  }
  for (const PlannedAxis& dim : plan.dims) root.add_coordinate(dim.name, column(dim.values), dim.unit, dim.help);
  root.arrays.push_back({"done",
                         axis_names,
                         axis_shape,
                         computed.done,
                         {{"units", "1"}, {"long_name", "0 not computed, 1 computed, 2 does not apply"}}});
  for (std::size_t o = 0; o < computed.outputs.size(); ++o) {
    const OutputDeclaration& output = plan.experiment->outputs[o];
    Array array{output.name, axis_names, axis_shape, {}, {{"units", output.unit}, {"long_name", output.help}}};
    for (const std::string& dim : output.dims) {
      array.dims.push_back(dim);
      array.shape.push_back(plan.coordinate(dim)->values.size());
    }
    if (output.narrow)
      array.data = std::vector<float>(computed.outputs[o].begin(), computed.outputs[o].end());
    else
      array.data = computed.outputs[o];
    root.arrays.push_back(std::move(array));
  }
}

}  // namespace

std::string_view to_string(Status status) {
  constexpr std::string_view kNames[] = {"complete", "shard", "not_run"};
  return kNames[static_cast<int>(status)];
}

Group result_tree(const Plan& plan, const Computed* computed, Shard shard, Status status,
                  const std::vector<Row>& rows) {
  const Declaration& d = *plan.experiment;
  Group root;
  root.set("Conventions", std::string("CF-1.10"));
  root.set("filetype", std::string(store::kResultFileType));
  root.set("schema_version", std::vector<std::int64_t>{store::kSchemaMajor, store::kSchemaMinor});
  root.set("source", std::string("lowbit"));
  root.set("experiment", d.name);
  root.set("title", d.title);
  root.set("references", d.identifier + (d.figure.empty() ? "" : ", " + d.figure));
  root.set("seed", static_cast<std::int64_t>(plan.seed));
  root.set("config_hash", plan.config_hash());
  root.set("shard",
           std::vector<std::int64_t>{static_cast<std::int64_t>(shard.index), static_cast<std::int64_t>(shard.count)});
  root.set("status", std::string(to_string(status)));
  root.set("complete", std::int64_t{1});
  if (computed) add_data(root, plan, *computed);
  root.groups.push_back(params_group(plan));
  root.groups.push_back(reference_group(d));
  root.groups.push_back(formats_group(plan));
  root.groups.push_back(report_group(rows));
  return root;
}

}  // namespace lowbit
