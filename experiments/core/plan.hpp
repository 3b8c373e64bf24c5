// An experiment with everything decided: parameters, coordinates, seed. What a run computes is a function of its plan.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "experiments/core/experiment.hpp"

namespace lowbit {

/// "kappa" = "1:12:0.25", and where it was said ("--set", "run.ini: [fig3]") for messages.
struct Setting {
  std::string name, value, place;
};

struct PlannedAxis {
  std::string name, unit, help;
  Kind kind = Kind::real;
  Domain domain;
  std::vector<Value> values;
};

struct Plan {
  const Declaration* experiment = nullptr;  ///< must outlive the plan
  std::uint64_t seed = 1;
  Params params;
  std::vector<PlannedAxis> axes, dims;
  std::vector<std::string> inputs;  ///< "# tensors: 17 bytes, ...": content of the files that parameters name

  std::size_t point_count() const;
  /// Position along each axis of point number `point` (C order, last axis fastest), and back.
  std::vector<std::size_t> position(std::size_t point) const;
  std::size_t number(const std::vector<std::size_t>& position) const;
  /// Axis or extra dim of that name, or nullptr.
  const PlannedAxis* coordinate(std::string_view name) const;
  /// Numbers that one point gives for an output.
  std::size_t values_per_point(const OutputDeclaration& output) const;
  std::size_t values_per_point() const;  ///< of all outputs together
  /// The resolved configuration as a section of an INI file that --config reads back to the same plan.
  std::string config_text() const;
  /// 16 hexadecimal digits of experiment, seed and configuration: equal plans, equal hashes.
  std::string config_hash() const;
  /// Random stream of a point: of the axes in draws_vary_with alone.
  Rng point_rng(const std::vector<std::size_t>& position) const;
  /// Random stream of a shared state at a position, whose other axes are ignored.
  Rng shared_rng(const SharedDeclaration& state, const std::vector<std::size_t>& position) const;
};

/// Applies the settings in order, later ones winning. Error (usage) for an unknown name or a value that is not
/// accepted; runs the experiment's own validate().
Plan make_plan(const Declaration& experiment, std::uint64_t seed, const std::vector<Setting>& settings);

/// The settings in "trials=2 kappa=1,6,12"; std::logic_error if malformed.
std::vector<Setting> split_settings(const std::string& text, const std::string& place);
/// "kappa=1,2" of the command line; Error if there is no '='.
Setting split_setting(const std::string& text, const std::string& place);

/// Names of the axes and parameters: what a setting may name.
std::vector<std::string> setting_names(const Declaration& experiment);

}  // namespace lowbit
