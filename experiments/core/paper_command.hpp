// Commands of a paper's program beside its figures: build/bin/<paper> COMMAND ..., registered by one line in the file
// that holds them.
//
//   int check(const std::string& program, const std::vector<std::string>& words) {
//     CommandLine line(program, "checks a trace file");
//     ...
//   }
//   LOWBIT_PAPER_COMMAND(rcp, check, "check a trace file", check)
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

struct PaperCommand {
  std::string_view paper, name;
  std::string_view help;  ///< one line for --help
  /// `program` as the user typed it ("rcp check"), `words` behind it. Returns the exit code, throws Error.
  int (*run)(const std::string& program, const std::vector<std::string>& words);
};

struct PaperCommandRegistrar {
  explicit PaperCommandRegistrar(const PaperCommand& command);
};

/// Commands of a paper, sorted by name. std::logic_error for two of one name, or one named like a figure.
std::vector<PaperCommand> commands_of(std::string_view paper);

}  // namespace lowbit

#define LOWBIT_PAPER_COMMAND(paper, name, help, function) \
  static const ::lowbit::PaperCommandRegistrar lowbit_command_##paper##_##name({#paper, #name, help, &function});
