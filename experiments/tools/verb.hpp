// A verb of the `lowbit` program: one file in experiments/tools, registered by one line, named in no list.
//
//   int cast(const Words& words) {
//     CommandLine line("lowbit cast", "quantises a tensor and writes the values back");
//     line.value("format", "F", "name of a format", Required{}).flag("keep-rotated", "leave the values rotated");
//     if (!line.parse(words)) return 0;            // --help has been answered
//     ...
//     return 0;
//   }
//   LOWBIT_VERB(cast, "quantise a tensor and write the values back", cast)
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// The words after the verb on the command line.
using Words = std::vector<std::string>;
/// Returns the exit code; throws lowbit::Error for mistakes of the user. main prints the error and maps its code.
using VerbFunction = int (*)(const Words& words);

struct Verb {
  std::string_view name;
  std::string_view help;  ///< one line for `lowbit --help`
  VerbFunction run;
  std::string_view file;  ///< where it is registered
};

/// Adds a verb before main starts. Two verbs of one name end the program at its start, both files named.
struct VerbRegistrar {
  VerbRegistrar(std::string_view name, std::string_view help, VerbFunction run, std::string_view file);
};

/// All verbs, sorted by name. Throws std::logic_error, naming both files, if two share a name.
std::vector<Verb> verbs();

}  // namespace lowbit

/// LOWBIT_VERB(list, "what it does", function): at namespace scope, once per verb.
#define LOWBIT_VERB(name, help, function) \
  static const ::lowbit::VerbRegistrar lowbit_verb_##name{#name, help, &function, __FILE__};
