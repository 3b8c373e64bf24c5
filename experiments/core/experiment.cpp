#include "experiments/core/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

#include "experiments/core/plan.hpp"
#include "experiments/core/shared_states.hpp"

namespace lowbit {

Experiment& Experiment::paper(std::string identifier, std::string figure, std::string title) {
  d_.identifier = std::move(identifier);
  d_.figure = std::move(figure);
  d_.title = std::move(title);
  return *this;
}
Experiment& Experiment::param(std::string name, Value fallback, std::string help, Domain domain) {
  d_.params.push_back({std::move(name), std::move(fallback), std::move(help), std::move(domain)});
  return *this;
}
Experiment& Experiment::axis(std::string name, Values values, std::string unit, std::string help) {
  return axis(
      std::move(name), [values = std::move(values)](const Params&) { return values; }, std::move(unit),
      std::move(help));
}
Experiment& Experiment::axis(std::string name, ValuesFunction values, std::string unit, std::string help) {
  d_.axes.push_back({std::move(name), std::move(values), std::move(unit), std::move(help)});
  return *this;
}
Experiment& Experiment::dim(std::string name, Values values, std::string unit, std::string help) {
  return dim(
      std::move(name), [values = std::move(values)](const Params&) { return values; }, std::move(unit),
      std::move(help));
}
Experiment& Experiment::dim(std::string name, ValuesFunction values, std::string unit, std::string help) {
  d_.dims.push_back({std::move(name), std::move(values), std::move(unit), std::move(help)});
  return *this;
}
Experiment& Experiment::draws_vary_with(std::vector<std::string> axes) {
  d_.draws_vary_with = std::move(axes);
  return *this;
}
Experiment& Experiment::output(std::string name, std::string unit, std::string help, std::vector<std::string> dims) {
  d_.outputs.push_back({std::move(name), std::move(unit), std::move(help), std::move(dims), false});
  return *this;
}
Experiment& Experiment::narrow_output(std::string name, std::string unit, std::string help,
                                      std::vector<std::string> dims) {
  output(std::move(name), std::move(unit), std::move(help), std::move(dims));
  d_.outputs.back().narrow = true;
  return *this;
}
Experiment& Experiment::quick(std::string settings) {
  d_.quick = std::move(settings);
  return *this;
}
Experiment& Experiment::full(std::string settings) {
  d_.full = std::move(settings);
  return *this;
}
Experiment& Experiment::cost(double seconds) {
  d_.cost = seconds;
  return *this;
}
Experiment& Experiment::runs_alone() {
  d_.runs_alone = true;
  return *this;
}
Experiment& Experiment::point(std::function<Record(const Point&, Rng)> compute) {
  d_.point = std::move(compute);
  return *this;
}
Experiment& Experiment::where(std::function<bool(const Point&)> applies) {
  d_.where = std::move(applies);
  return *this;
}
Experiment& Experiment::validate(std::function<void(const Params&)> check) {
  d_.validate = std::move(check);
  return *this;
}
Experiment& Experiment::unavailable_when(std::function<std::string(const Params&)> reason) {
  d_.unavailable = std::move(reason);
  return *this;
}
Experiment& Experiment::reference(Reference reference) {
  d_.references.push_back(std::move(reference));
  return *this;
}
Experiment& Experiment::reference_table(ReferenceTable table) {
  d_.tables.push_back(std::move(table));
  return *this;
}
Experiment& Experiment::rows(std::function<std::vector<Row>(const Results&)> rows) {
  d_.rows = std::move(rows);
  return *this;
}

namespace {

/// Names that the programs and the files use themselves.
constexpr std::array kReserved = {
    "help",         "list_options", "out",      "quick",     "full",    "seed",   "threads",    "set",  "config",
    "print_config", "dry_run",      "describe", "shard",     "resume",  "force",  "output",     "list", "reproducible",
    "version",      "done",         "params",   "reference", "formats", "report", "provenance", "point"};

bool is_snake_case(const std::string& name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// Units that xarray takes for durations or dates and decodes: "s", "min", "h" are understood by people as well.
bool is_decoded_as_time(const std::string& unit) {
  constexpr std::array kUnits = {"days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"};
  return std::find(kUnits.begin(), kUnits.end(), unit) != kUnits.end() || unit.find(" since ") != std::string::npos;
}

class Checker {
 public:
  explicit Checker(const Declaration& d) : d_(d) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw std::logic_error(fmt::format("experiment '{}': {}", d_.name, what));
  }
  void name(const std::string& name) {
    if (!is_snake_case(name)) fail(fmt::format("name '{}' is not snake_case", name));
    if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end())
      fail(fmt::format("name '{}' is reserved", name));
    if (!names_.insert(name).second) fail(fmt::format("name '{}' is declared twice", name));
  }
  void unit(const std::string& unit) const {
    if (is_decoded_as_time(unit))
      fail(fmt::format("unit '{}' would be decoded as a time by xarray; write s, min or h", unit));
  }
  template <class List>
  void known(const std::vector<std::string>& wanted, const List& list, const std::string& where) const {
    for (const std::string& w : wanted)
      if (std::none_of(list.begin(), list.end(), [&](const auto& item) { return item.name == w; }))
        fail(fmt::format("{} names '{}', which is not declared", where, w));
  }

 private:
  const Declaration& d_;
  std::set<std::string> names_;
};

}  // namespace

void check_declaration(const Declaration& d) {
  Checker checker(d);
  if (!is_snake_case(d.paper_slug()) || !is_snake_case(d.figure_slug())) checker.fail("the name is not paper/figure");
  if (!d.point) checker.fail("point() is missing");
  if (d.outputs.empty()) checker.fail("output() is missing");
  for (const auto& param : d.params) checker.name(param.name);
  for (const auto* list : {&d.axes, &d.dims})
    for (const auto& axis : *list) {
      checker.name(axis.name);
      checker.unit(axis.unit);
    }
  for (const auto& output : d.outputs) {
    checker.name(output.name);
    checker.unit(output.unit);
    checker.known(output.dims, d.dims, "output " + output.name);
  }
  if (d.draws_vary_with) checker.known(*d.draws_vary_with, d.axes, "draws_vary_with");
  for (const auto& state : d.shared) checker.known(state.axes, d.axes, "shared " + state.name);
  std::set<std::string> quantities;
  for (const auto& reference : d.references)
    if (!quantities.insert(reference.quantity).second)
      checker.fail(fmt::format("two references of quantity '{}'", reference.quantity));
  for (const auto& table : d.tables)
    for (const auto& column : table.columns)
      if (column.second.empty() || column.second.size() != table.columns[0].second.size())
        checker.fail(fmt::format("columns of reference table '{}' differ in length or are empty", table.name));
  try {
    make_plan(d, 1, split_settings(d.quick, "quick"));
    make_plan(d, 1, split_settings(d.full.value_or(""), "full"));
  } catch (const std::exception& e) {
    checker.fail(e.what());
  }
}

Record evaluate(const Experiment& experiment, const Coordinates& where, std::uint64_t seed) {
  const Declaration& d = experiment.declared();
  std::vector<Setting> settings;
  for (const auto& [name, value] : where) settings.push_back({name, value.print(), "evaluate"});
  const Plan plan = make_plan(d, seed, settings);
  SharedStates states(plan, {0});
  const std::vector<std::size_t> first(plan.axes.size(), 0);
  return d.point(PointFactory::make(plan, &states, first, 1), plan.point_rng(first));
}

}  // namespace lowbit
