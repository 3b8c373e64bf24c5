#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "experiments/core/cli.hpp"
#include "experiments/core/plain_text.hpp"
#include "experiments/core/runner.hpp"

namespace lowbit {
namespace {

using Json = nlohmann::ordered_json;

Json value_json(const Value& value) {
  switch (value.kind()) {
    case Kind::text:
      return value.text();
    case Kind::integer:
      return value.integer();
    case Kind::real:
      break;
  }
  return value.real();
}

constexpr const char* kKinds[] = {"real", "integer", "text"};

Json axis_json(const PlannedAxis& axis) {
  Json json;
  json["name"] = axis.name;
  json["kind"] = kKinds[static_cast<int>(axis.kind)];
  json["units"] = axis.unit;
  json["help"] = axis.help;
  json["values"] = Json::array();
  for (const Value& value : axis.values) json["values"].push_back(value_json(value));
  return json;
}

Json param_json(const ParamDeclaration& param, const Plan& plan) {
  Json json;
  json["name"] = param.name;
  json["kind"] = kKinds[static_cast<int>(param.fallback.kind())];
  json["help"] = param.help;
  json["default"] = value_json(param.fallback);
  json["value"] = value_json(plan.params.at(param.name));
  return json;
}

Json reference_json(const Reference& reference) {
  Json json;
  json["quantity"] = reference.quantity;
  json["value"] = reference.value ? Json(*reference.value) : Json(nullptr);
  json["units"] = reference.unit;
  json["source"] = reference.source;
  json["band"] = reference.band ? Json::array({reference.band->low, reference.band->high}) : Json(nullptr);
  json["note"] = reference.note;
  return json;
}

Json experiment_json(const Plan& plan, const std::string& folder) {
  RunOptions options;
  options.folder = folder;
  const Declaration& d = *plan.experiment;
  const std::string unavailable = d.unavailable ? d.unavailable(plan.params) : "";
  Json json;
  json["experiment"] = d.name;
  json["paper"] = d.identifier;
  json["figure"] = d.figure;
  json["title"] = d.title;
  json["seed"] = plan.seed;
  json["config_hash"] = plan.config_hash();
  json["file"] = result_path(d, options);
  json["points"] = unavailable.empty() ? plan.point_count() : 0;
  json["cost_seconds"] = d.cost;
  json["quick"] = d.quick;
  json["full"] = d.full ? Json(*d.full) : Json(nullptr);
  json["unavailable"] = unavailable.empty() ? Json(nullptr) : Json(unavailable);
  for (const char* key : {"params", "axes", "dims", "outputs", "shared", "references"}) json[key] = Json::array();
  for (const ParamDeclaration& param : d.params) json["params"].push_back(param_json(param, plan));
  for (const PlannedAxis& axis : plan.axes) json["axes"].push_back(axis_json(axis));
  for (const PlannedAxis& dim : plan.dims) json["dims"].push_back(axis_json(dim));
  for (const OutputDeclaration& o : d.outputs)
    json["outputs"].push_back({{"name", o.name}, {"units", o.unit}, {"help", o.help}, {"dims", o.dims}});
  for (const SharedDeclaration& s : d.shared) json["shared"].push_back({{"name", s.name}, {"axes", s.axes}});
  for (const Reference& r : d.references) json["references"].push_back(reference_json(r));
  return json;
}

}  // namespace

std::string describe_json(const std::vector<Plan>& plans, const std::string& folder) {
  Json json;
  json["schema"] = 1;
  json["experiments"] = Json::array();
  for (const Plan& plan : plans) json["experiments"].push_back(experiment_json(plan, folder));
  return json_text(json, 2) + "\n";
}

namespace {

/// What a run of this plan would do; `reason`: why it would not.
struct DryRun {
  std::string reason, file;
  std::size_t points = 0, of = 0;
};

DryRun dry_run_of(const Plan& plan, const RunOptions& options) {
  const Declaration& d = *plan.experiment;
  DryRun dry{d.unavailable ? d.unavailable(plan.params) : "", result_path(d, options), 0, 0};
  if (!dry.reason.empty()) return dry;
  dry.points = shard_points(plan, options.shard.index, options.shard.count).size();
  dry.of = plan.point_count();
  return dry;
}

Json dry_run_json(const Plan& plan, const DryRun& dry) {
  Json json{{"experiment", plan.experiment->name},          {"points", dry.points}, {"of", dry.of},
            {"numbers_per_point", plan.values_per_point()}, {"file", dry.file},     {"axes", Json::object()}};
  for (const PlannedAxis& axis : plan.axes) json["axes"][axis.name] = axis_json(axis)["values"];
  if (!dry.reason.empty()) json["reason"] = dry.reason;
  return json;
}

std::string dry_run_text(const Plan& plan, const DryRun& dry) {
  if (!dry.reason.empty()) return fmt::format("{}: not run: {}\n", plan.experiment->name, dry.reason);
  std::string text = fmt::format("{}: {} of {} points, {} numbers a point -> {}\n", plan.experiment->name, dry.points,
                                 dry.of, plan.values_per_point(), dry.file);
  for (const PlannedAxis& axis : plan.axes)
    text += fmt::format("  {} ({}): {}\n", axis.name, axis.values.size(), print_list(axis.values));
  return text;
}

std::string dry_run_csv(const Plan& plan, const DryRun& dry) {
  std::string axes;
  for (const PlannedAxis& axis : plan.axes)
    axes += fmt::format("{}{}={}", axes.empty() ? "" : " ", axis.name, print_list(axis.values));
  return fmt::format("{},{},{},{},{},{},{}\n", csv_field(plan.experiment->name), dry.points, dry.of,
                     plan.values_per_point(), csv_field(dry.file), csv_field(axes), csv_field(dry.reason));
}

}  // namespace

std::string dry_run(const std::vector<Plan>& plans, const RunOptions& options, const std::string& form) {
  Json all = Json::array();
  std::string text, csv = "experiment,points,of,numbers_per_point,file,axes,reason\n";
  for (const Plan& plan : plans) {
    const DryRun dry = dry_run_of(plan, options);
    all.push_back(dry_run_json(plan, dry));
    text += dry_run_text(plan, dry);
    csv += dry_run_csv(plan, dry);
  }
  return form == "json" ? json_text(all, 2) + "\n" : form == "csv" ? csv : text;
}

}  // namespace lowbit
