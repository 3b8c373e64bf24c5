#include "experiments/core/listing.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/core/plain_text.hpp"
#include "experiments/core/progress.hpp"

namespace lowbit {

std::string listing(const std::vector<const Experiment*>& experiments, const std::string& form) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::string text, csv = "experiment,paper,figure,title,cost_seconds\n";
  for (const Experiment* e : experiments) {
    const Declaration& d = e->declared();
    all.push_back({{"experiment", d.name},
                   {"paper", d.identifier},
                   {"figure", d.figure},
                   {"title", d.title},
                   {"cost_seconds", d.cost}});
    text +=
        fmt::format("{:<32}{} ({}, {}; about {})\n", d.name, d.title, d.identifier, d.figure, duration_text(d.cost));
    csv += fmt::format("{},{},{},{},{}\n", csv_field(d.name), csv_field(d.identifier), csv_field(d.figure),
                       csv_field(d.title), exact_number(d.cost));
  }
  return form == "json" ? json_text(all, 2) + "\n" : form == "csv" ? csv : text;
}

}  // namespace lowbit
