#include "experiments/core/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "experiments/core/command_line.hpp"
#include "experiments/core/input_digest.hpp"
#include "formats/error.hpp"
#include "formats/random.hpp"

namespace lowbit {
namespace {

const Setting* last_setting(const std::vector<Setting>& settings, const std::string& name) {
  const auto found = std::find_if(settings.rbegin(), settings.rend(), [&](const Setting& s) { return s.name == name; });
  return found == settings.rend() ? nullptr : &*found;
}

void refuse_unknown(const Declaration& experiment, const std::vector<Setting>& settings) {
  const std::vector<std::string> names = setting_names(experiment);
  for (const Setting& s : settings)
    if (std::find(names.begin(), names.end(), s.name) == names.end())
      throw_error(ExitCode::usage, "{}: {} has no axis or parameter '{}'{}", s.place, experiment.name, s.name,
                  suggestion(s.name, names));
}

std::string place_of(const Setting& setting) {
  std::string option = "--" + setting.name;
  std::replace(option.begin(), option.end(), '_', '-');
  return setting.place == option ? option : fmt::format("{} {}", setting.place, setting.name);
}

PlannedAxis plan_axis(const AxisDeclaration& axis, const Params& params, const Setting* setting) {
  Values values = axis.values(params);
  PlannedAxis planned{axis.name, axis.unit, axis.help, values.kind, std::move(values.domain), {}};
  planned.values = setting ? parse_list(setting->value, planned.kind, planned.domain, place_of(*setting))
                           : check_values(std::move(values.list), planned.kind, planned.domain, "axis " + axis.name);
  return planned;
}

/// "name=value" of the axes that `used` accepts.
template <class Used>
std::string stream_name(const Plan& plan, const std::string& start, const std::vector<std::size_t>& position,
                        const Used& used) {
  std::string name = start;
  const auto& vary = plan.experiment->draws_vary_with;
  for (std::size_t a = 0; a < plan.axes.size(); ++a) {
    const std::string& axis = plan.axes[a].name;
    if (vary && std::find(vary->begin(), vary->end(), axis) == vary->end()) continue;
    if (!used(axis)) continue;
    name += fmt::format("|{}={}", axis, plan.axes[a].values[position[a]].seed_text());
  }
  return name;
}

}  // namespace

std::vector<std::string> setting_names(const Declaration& experiment) {
  std::vector<std::string> names;
  for (const auto& axis : experiment.axes) names.push_back(axis.name);
  for (const auto& param : experiment.params) names.push_back(param.name);
  return names;
}

Plan make_plan(const Declaration& experiment, std::uint64_t seed, const std::vector<Setting>& settings) {
  refuse_unknown(experiment, settings);
  Plan plan;
  plan.experiment = &experiment;
  plan.seed = seed;
  for (const ParamDeclaration& param : experiment.params) {
    const Setting* s = last_setting(settings, param.name);
    const Kind kind = param.fallback.kind();
    plan.params.set(param.name, s ? parse_value(s->value, kind, param.domain, place_of(*s))
                                  : check_values({param.fallback}, kind, param.domain, "parameter " + param.name)[0]);
  }
  for (const ParamDeclaration& param : experiment.params)
    if (param.domain.input)
      if (const std::string digest = input_digest(plan.params.text(param.name)); !digest.empty())
        plan.inputs.push_back(fmt::format("# {}: {}", param.name, digest));
  if (experiment.validate) experiment.validate(plan.params);
  if (experiment.unavailable && !experiment.unavailable(plan.params).empty()) return plan;
  for (const AxisDeclaration& axis : experiment.axes)
    plan.axes.push_back(plan_axis(axis, plan.params, last_setting(settings, axis.name)));
  for (const AxisDeclaration& dim : experiment.dims) plan.dims.push_back(plan_axis(dim, plan.params, nullptr));
  return plan;
}

Setting split_setting(const std::string& text, const std::string& place) {
  const std::size_t equal = text.find('=');
  if (equal == std::string::npos || equal == 0)
    throw_error(ExitCode::usage, "{}: '{}' is not accepted; NAME=VALUES is", place, text);
  return {text.substr(0, equal), text.substr(equal + 1), place};
}

std::vector<Setting> split_settings(const std::string& text, const std::string& place) {
  std::vector<Setting> settings;
  std::istringstream words(text);
  for (std::string word; words >> word;) settings.push_back(split_setting(word, place));
  return settings;
}

std::size_t Plan::point_count() const {
  std::size_t n = 1;
  for (const PlannedAxis& axis : axes) n *= axis.values.size();
  return n;
}

std::vector<std::size_t> Plan::position(std::size_t point) const {
  std::vector<std::size_t> position(axes.size());
  for (std::size_t a = axes.size(); a-- > 0;) {
    position[a] = point % axes[a].values.size();
    point /= axes[a].values.size();
  }
  return position;
}

std::size_t Plan::number(const std::vector<std::size_t>& position) const {
  std::size_t point = 0;
  for (std::size_t a = 0; a < axes.size(); ++a) point = point * axes[a].values.size() + position[a];
  return point;
}

const PlannedAxis* Plan::coordinate(std::string_view name) const {
  for (const auto* list : {&axes, &dims})
    for (const PlannedAxis& axis : *list)
      if (axis.name == name) return &axis;
  return nullptr;
}

std::size_t Plan::values_per_point(const OutputDeclaration& output) const {
  std::size_t n = 1;
  for (const std::string& dim : output.dims) {
    const PlannedAxis* axis = coordinate(dim);  // none where the experiment is unavailable
    n *= axis ? axis->values.size() : 0;
  }
  return n;
}

std::size_t Plan::values_per_point() const {
  std::size_t n = 0;
  for (const OutputDeclaration& output : experiment->outputs) n += values_per_point(output);
  return n;
}

std::string Plan::config_text() const {
  std::string text = fmt::format("[{}]\n", experiment->figure_slug());
  for (const auto& [name, value] : params.all()) text += fmt::format("{} = {}\n", name, value.print());
  for (const std::string& input : inputs) text += input + "\n";
  for (const PlannedAxis& axis : axes) text += fmt::format("{} = {}\n", axis.name, print_list(axis.values));
  return text;
}

std::string Plan::config_hash() const {
  std::string identity = fmt::format("{}\nseed = {}\n{}", experiment->name, seed, config_text());
  for (const PlannedAxis& dim : dims) identity += fmt::format("dim {} = {}\n", dim.name, print_list(dim.values));
  for (const OutputDeclaration& output : experiment->outputs) identity += fmt::format("output {}\n", output.name);
  return fmt::format("{:016x}", stream_of(identity));
}

Rng Plan::point_rng(const std::vector<std::size_t>& position) const {
  return Rng(seed, stream_name(*this, experiment->name, position, [](const std::string&) { return true; }));
}

Rng Plan::shared_rng(const SharedDeclaration& state, const std::vector<std::size_t>& position) const {
  const auto used = [&](const std::string& axis) {
    return std::find(state.axes.begin(), state.axes.end(), axis) != state.axes.end();
  };
  return Rng(seed, stream_name(*this, experiment->name + "#" + state.name, position, used));
}

}  // namespace lowbit
