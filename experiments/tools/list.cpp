// lowbit list: papers and their figures.
#include <nlohmann/json.hpp>

#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"
#include "experiments/core/progress.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

int list(const Words& words) {
  CommandLine line("lowbit list", "the papers and figures that can be run");
  line.words("[PAPER...]", "only these papers", 0).value("output", "FORM", "form of stdout: text or json", "text");
  if (!line.parse(words)) return 0;
  const std::vector<std::string> papers = line.words().empty() ? paper_slugs() : line.words();
  const bool json = line.choice("output", {"text", "json"}) == "json";
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& paper : papers)
    for (const Experiment* e : experiments_of(paper)) {
      const Declaration& d = e->declared();
      if (json)
        all.push_back({{"experiment", d.name},
                       {"paper", d.identifier},
                       {"figure", d.figure},
                       {"title", d.title},
                       {"cost_seconds", d.cost}});
      else
        fmt::print("{:<32}{} ({}, {}; about {})\n", d.name, d.title, d.identifier, d.figure, duration_text(d.cost));
    }
  if (json) fmt::print("{}\n", all.dump(2));
  return 0;
}

LOWBIT_VERB(list, "papers and figures that can be run", list)

}  // namespace
}  // namespace lowbit
