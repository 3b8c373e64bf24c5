// lowbit run, lowbit describe: the command line of a paper, by its name.
#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

/// "int_vs_fp/fig3" is paper int_vs_fp with the figure fig3 before the other words.
int run_target(const std::string& verb, const Words& words, const std::vector<std::string>& more) {
  std::string papers;
  for (const std::string& slug : paper_slugs()) papers += " " + slug;
  if (words.empty()) throw_error(ExitCode::usage, "{}: PAPER[/FIGURE] is missing; papers:{}", verb, papers);
  if (words[0] == "--help" || words[0] == "-h") {
    fmt::print("{} PAPER[/FIGURE] [FIGURE...] [options]\n\npapers:{}\nall options: {} PAPER --help\n", verb, papers,
               verb);
    return 0;
  }
  if (words[0].starts_with("-"))
    throw_error(ExitCode::usage, "{}: '{}' stands where a paper is expected; {} PAPER[/FIGURE] [options]", verb,
                words[0], verb);
  const std::size_t slash = words[0].find('/');
  const std::string paper = words[0].substr(0, slash);
  std::vector<std::string> arguments;
  if (slash != std::string::npos) arguments.push_back(words[0].substr(slash + 1));
  arguments.insert(arguments.end(), words.begin() + 1, words.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_paper(verb + " " + paper, paper, arguments);
}

int run(const Words& words) {
  return run_target("lowbit run", words, {});
}
int describe(const Words& words) {
  return run_target("lowbit describe", words, {"--describe"});
}

LOWBIT_VERB(run, "run the figures of a paper", run)
LOWBIT_VERB(describe, "axes, parameters and outputs of a paper as JSON", describe)

}  // namespace
}  // namespace lowbit
