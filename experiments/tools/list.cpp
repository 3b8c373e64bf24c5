// lowbit list: papers and their figures.
#include <fmt/format.h>

#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"
#include "experiments/core/listing.hpp"
#include "experiments/tools/verb.hpp"

namespace lowbit {
namespace {

int list(const Words& words) {
  CommandLine line("lowbit list", "the papers and figures that can be run");
  line.words("[PAPER...]", "only these papers", 0).value("output", "FORM", "form of stdout: text, json or csv", "text");
  if (!line.parse(words)) return 0;
  const std::string form = line.choice("output", {"text", "json", "csv"});
  std::vector<const Experiment*> listed;
  for (const std::string& paper : line.words().empty() ? paper_slugs() : line.words())
    for (const Experiment* e : experiments_of(paper)) listed.push_back(e);
  fmt::print("{}", listing(listed, form));
  return 0;
}

LOWBIT_VERB(list, "papers and figures that can be run", list)

}  // namespace
}  // namespace lowbit
