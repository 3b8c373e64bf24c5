// lowbit merge: the shards of a run into one result file.
#include "experiments/core/command_line.hpp"
#include "experiments/core/report_print.hpp"
#include "experiments/core/runner.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

/// DIR/fig3.shard-0-of-4.h5 -> DIR/fig3.h5
std::string merged_path(const std::string& shard) {
  const std::size_t at = shard.rfind(".shard-");
  if (at == std::string::npos)
    throw_error(ExitCode::usage, "lowbit merge: '{}' is not named like a shard; give --out PATH", shard);
  return shard.substr(0, at) + ".h5";
}

int merge(const Words& words) {
  CommandLine line("lowbit merge", "verifies the shards of a run and joins them into the file of a run without shards");
  line.words("SHARD.h5...", "the result files of all shards", 1)
      .value("out", "PATH", "result file to write (default: beside the shards, without .shard-I-of-N)")
      .abbreviation('o', "out")
      .flag("force", "replace PATH if it is there")
      .flag("reproducible", "leave times and host out of the file")
      .value("output", "FORM", "form of stdout: text, json or csv", "text");
  if (!line.parse(words)) return 0;
  const std::string output = line.choice("output", {"text", "json", "csv"});
  const std::string out = line.given("out") ? line.text("out") : merged_path(line.words().front());
  if (out.empty()) throw_error(ExitCode::usage, "lowbit merge: --out: the path of a file is expected");
  Words command = {"lowbit", "merge"};
  command.insert(command.end(), words.begin(), words.end());
  const RunResult result = merge_results(line.words(), out, line.given("force"), line.given("reproducible"), command);
  if (output == "text") fmt::print("{}", text_report(result));
  if (output == "json") fmt::print("{}", json_report({result}));
  if (output == "csv") fmt::print("{}", csv_report({result}));
  return 0;
}

LOWBIT_VERB(merge, "join the shards of a run", merge)

}  // namespace
}  // namespace lowbit
