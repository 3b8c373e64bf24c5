#include "experiments/papers/int_vs_fp/reference.hpp"

#include <stdexcept>
#include <string>
#include <utility>

namespace lowbit::int_vs_fp {
namespace {

/// {figure, text of its table}.
constexpr std::pair<std::string_view, std::string_view> kTables[] = {
#include "int_vs_fp_reference.inc"
};

}  // namespace

std::vector<Reference> references(std::string_view figure) {
  for (const auto& [name, text] : kTables)
    if (name == figure) return parse_references(text);
  throw std::logic_error(fmt::format("no reference table for {}", figure));
}

Experiment with_references(Experiment experiment) {
  for (auto& reference : references(experiment.declared().figure_slug())) experiment.reference(std::move(reference));
  return experiment;
}

}  // namespace lowbit::int_vs_fp
