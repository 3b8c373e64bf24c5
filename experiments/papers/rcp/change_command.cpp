// rcp change: how formats of the KV cache move the rank of the end token, from a log.
#include <fmt/format.h>

#include "experiments/core/command_line.hpp"
#include "experiments/core/paper_command.hpp"
#include "experiments/papers/rcp/change_table.hpp"
#include "experiments/papers/rcp/line_writer.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

using namespace rcp;
using Words = std::vector<std::string>;

int change(const std::string& program, const Words& words) {
  CommandLine line(program, "measures how formats of the KV cache change log10 of the end token's rank");
  line.words("LOG...", "what 'rcp log' wrote, fp32 among its formats", 1)
      .value("least", "N", "sentences that a bin of ranks needs; bins of half a decade are joined until they have them",
             "30")
      .value("provenance", "TEXT", "where the numbers come from: the first line of the table", "measured by rcp log")
      .value("out", "FILE.tsv", "file to write (default: stdout)")
      .abbreviation('o', "out")
      .flag("force", "replace it if it is there")
      .footer("the table is what `rcp kv_noise --change-file FILE.tsv` takes\n");
  if (!line.parse(words)) return 0;
  const auto overwrite = line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse;
  const auto least = static_cast<std::size_t>(line.integer("least", 2, 1 << 30));
  if (line.text("provenance").find('\n') != std::string::npos)
    throw_error(ExitCode::usage, "--provenance: one line of text is accepted");
  LineWriter out(line.text("out"), overwrite);
  ChangeTable table = changes_of_logs(line.words(), least);
  table.provenance = line.text("provenance");
  std::string text = print_changes(table);
  text.pop_back();  // the writer adds the last newline
  out.write(text);
  out.finish();
  return 0;
}

LOWBIT_PAPER_COMMAND(rcp, change, "measure how KV formats change the rank, from a log", change)

}  // namespace
}  // namespace lowbit
