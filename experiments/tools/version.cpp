// lowbit version (and lowbit --version): build, kernel, libraries.
#include <fmt/format.h>

#include "experiments/core/provenance.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/verb.hpp"

namespace lowbit {
namespace {

int version(const Words& words) {
  CommandLine line("lowbit version", "the build of this program");
  declare_output(line);
  if (!line.parse(words)) return 0;
  const Build& b = build();
  if (const OutputForm form = output_form(line); form != OutputForm::text) {
    print_record({{"version", b.version},
                  {"git_sha", b.git_sha},
                  {"git_dirty", b.git_dirty},
                  {"compiler", b.compiler},
                  {"build_type", b.build_type},
                  {"flags", b.flags},
                  {"libraries", b.libraries},
                  {"kernel", b.kernel}},
                 form);
    return 0;
  }
  fmt::print("lowbit {}\nrevision   {}{}\ncompiler   {}\nbuild      {} ({})\nkernel     {}\nlibraries  {}\n", b.version,
             b.git_sha, b.git_dirty ? ", with changes" : "", b.compiler, b.build_type, b.flags, b.kernel, b.libraries);
  return 0;
}

LOWBIT_VERB(version, "build, kernel and libraries", version)

}  // namespace
}  // namespace lowbit
