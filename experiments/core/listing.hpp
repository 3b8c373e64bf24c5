// The figures and tables that can be run, as text, JSON or CSV.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/experiment.hpp"

namespace lowbit {

/// One line or record a figure: experiment, identifier of the paper, figure, title, declared cost in seconds. `form`:
/// text, json or csv.
std::string listing(const std::vector<const Experiment*>& experiments, const std::string& form);

}  // namespace lowbit
