#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "experiments/core/experiment.hpp"

namespace lowbit {
namespace {

struct Registered {
  ExperimentFunction make;
  const char* file;
};

std::vector<Registered>& registered() {
  static std::vector<Registered> all;
  return all;
}

std::vector<Experiment> build() {
  std::vector<std::pair<Experiment, const char*>> made;
  for (const Registered& r : registered()) made.emplace_back(r.make(), r.file);
  const auto name = [](const auto& entry) -> const std::string& { return entry.first.declared().name; };
  std::sort(made.begin(), made.end(), [&](const auto& a, const auto& b) { return name(a) < name(b); });
  std::vector<Experiment> all;
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (i > 0 && name(made[i]) == name(made[i - 1]))
      throw std::logic_error(fmt::format("experiment '{}' is registered twice: in {} and in {}", name(made[i]),
                                         made[i - 1].second, made[i].second));
    try {
      check_declaration(made[i].first.declared());
    } catch (const std::logic_error& e) {
      throw std::logic_error(fmt::format("{}: {}", made[i].second, e.what()));
    }
    all.push_back(std::move(made[i].first));
  }
  return all;
}

}  // namespace

Registrar::Registrar(ExperimentFunction make, const char* file) {
  registered().push_back({make, file});
}

const std::vector<Experiment>& experiments() {
  static const std::vector<Experiment> all = build();
  return all;
}

const Experiment* find_experiment(std::string_view name) {
  for (const Experiment& e : experiments())
    if (e.declared().name == name) return &e;
  return nullptr;
}

}  // namespace lowbit
