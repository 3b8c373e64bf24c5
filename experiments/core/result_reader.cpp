#include <fmt/format.h>

#include <cmath>

#include "experiments/core/result_file.hpp"
#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"
#include "results/store/schema.hpp"

namespace lowbit {
namespace {

using store::Array;
using store::Group;

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw_error(ExitCode::bad_data, "'{}' {}", path, what);
}

template <class T>
const T& attribute(const Group& group, std::string_view name, const std::string& path) {
  const store::AttributeValue* value = group.attribute(name);
  const T* typed = value ? std::get_if<T>(value) : nullptr;
  if (!typed) refuse(path, fmt::format("has no attribute '{}' of the right type", name));
  return *typed;
}

template <class T>
const std::vector<T>* column(const Group& group, std::string_view name) {
  const Array* array = group.array(name);
  return array ? std::get_if<std::vector<T>>(&array->data) : nullptr;
}

std::optional<double> optional(double v) {
  return std::isnan(v) ? std::nullopt : std::optional<double>(v);
}

std::optional<Interval> interval(double low, double high) {
  if (std::isnan(low) || std::isnan(high)) return std::nullopt;
  return Interval{low, high};
}

/// An output array as double, checked against the plan.
std::vector<double> output_values(const Group& tree, const Plan& plan, const OutputDeclaration& output,
                                  const std::string& path) {
  const Array* array = tree.array(output.name);
  if (!array) refuse(path, fmt::format("has no output '{}'", output.name));
  std::vector<double> values;
  if (const auto* wide = std::get_if<std::vector<double>>(&array->data)) values = *wide;
  if (const auto* narrow = std::get_if<std::vector<float>>(&array->data)) values.assign(narrow->begin(), narrow->end());
  if (values.size() != plan.point_count() * plan.values_per_point(output))
    refuse(path, fmt::format("holds {} values of '{}', its axes ask for {}", values.size(), output.name,
                             plan.point_count() * plan.values_per_point(output)));
  return values;
}

}  // namespace

Group read_result(const std::string& path) {
  Group tree = store::read_tree(path);
  if (attribute<std::string>(tree, "filetype", path) != store::kResultFileType)
    refuse(path, fmt::format("is of type '{}'; {} is expected", attribute<std::string>(tree, "filetype", path),
                             store::kResultFileType));
  const auto& version = attribute<std::vector<std::int64_t>>(tree, "schema_version", path);
  if (version.size() != 2 || version[0] != store::kSchemaMajor)
    refuse(path, fmt::format("has schema version {}; this program reads {}.x", version.empty() ? 0 : version[0],
                             store::kSchemaMajor));
  if (attribute<std::int64_t>(tree, "complete", path) != 1) refuse(path, "is not complete");
  return tree;
}

ResultHead result_head(const Group& tree, const std::string& path) {
  ResultHead head;
  head.experiment = attribute<std::string>(tree, "experiment", path);
  head.config_hash = attribute<std::string>(tree, "config_hash", path);
  head.status = attribute<std::string>(tree, "status", path);
  head.seed = static_cast<std::uint64_t>(attribute<std::int64_t>(tree, "seed", path));
  const auto& shard = attribute<std::vector<std::int64_t>>(tree, "shard", path);
  if (shard.size() != 2 || shard[0] < 0 || shard[0] >= shard[1]) refuse(path, "has a malformed attribute 'shard'");
  head.shard = {static_cast<std::size_t>(shard[0]), static_cast<std::size_t>(shard[1])};
  const Group* params = tree.group("params");
  const auto* lines = params ? column<std::string>(*params, "config") : nullptr;
  if (!lines) refuse(path, "has no /params/config");
  for (const std::string& line : *lines) head.config += line + "\n";
  return head;
}

std::vector<Row> result_rows(const Group& tree) {
  const Group* report = tree.group("report");
  const auto* figures = report ? column<std::string>(*report, "figure") : nullptr;
  if (!figures) return {};
  const auto text = [&](const char* name, std::size_t i) {
    const auto* values = column<std::string>(*report, name);
    return values && i < values->size() ? (*values)[i] : std::string();
  };
  const auto number = [&](const char* name, std::size_t i) {
    const auto* values = column<double>(*report, name);
    return values && i < values->size() ? (*values)[i] : std::nan("");
  };
  const auto* exact = column<std::uint8_t>(*report, "exact");
  std::vector<Row> rows(figures->size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Row& row = rows[i];
    row.figure = (*figures)[i];
    row.quantity = text("quantity", i);
    row.ours = number("ours", i);
    row.unit = text("unit", i);
    row.interval = interval(number("interval_low", i), number("interval_high", i));
    row.exact = exact && i < exact->size() && (*exact)[i] != 0;
    row.reference = optional(number("reference", i));
    row.source = text("reference_source", i);
    row.band = interval(number("band_low", i), number("band_high", i));
    row.note = text("note", i);
  }
  return rows;
}

Plan result_plan(const Declaration& experiment, const ResultHead& head, const std::string& path) {
  std::vector<Setting> settings;
  std::vector<std::string> inputs;  // as the run saw them: the files need not be here any more
  for (std::size_t begin = head.config.find('\n') + 1; begin < head.config.size();) {
    const std::size_t end = head.config.find('\n', begin);
    const std::string line = head.config.substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with("#")) {
      inputs.push_back(line);
      continue;
    }
    const std::size_t equal = line.find(" = ");
    if (equal == std::string::npos) refuse(path, fmt::format("has a malformed line '{}' in /params/config", line));
    settings.push_back({line.substr(0, equal), line.substr(equal + 3), path});
  }
  Plan plan = make_plan(experiment, head.seed, settings);
  plan.inputs = std::move(inputs);
  if (plan.config_hash() != head.config_hash)
    refuse(path, fmt::format("was made by another version of {}: its configuration hash is {}, this program's {}",
                             experiment.name, head.config_hash, plan.config_hash()));
  return plan;
}

void take_outputs(const Group& tree, const Plan& plan, const std::string& path, Computed& computed) {
  const auto* done = column<std::uint8_t>(tree, "done");
  if (!done || done->size() != plan.point_count()) refuse(path, "has no array 'done' over its axes");
  std::vector<std::vector<double>> outputs;
  for (const OutputDeclaration& output : plan.experiment->outputs)
    outputs.push_back(output_values(tree, plan, output, path));
  std::vector<double> values;
  for (std::size_t point = 0; point < done->size(); ++point) {
    if ((*done)[point] == 0) continue;
    if (computed.done[point] != 0) refuse(path, fmt::format("holds point {}, which another file holds too", point));
    values.clear();
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      const auto n = static_cast<std::ptrdiff_t>(plan.values_per_point(plan.experiment->outputs[o]));
      const auto from = outputs[o].begin() + static_cast<std::ptrdiff_t>(point) * n;
      values.insert(values.end(), from, from + n);
    }
    computed.put(plan, point, values, static_cast<Done>((*done)[point]));
  }
}

}  // namespace lowbit
