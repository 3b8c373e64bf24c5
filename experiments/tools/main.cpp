// The `lowbit` program: looks up a verb and runs it.
#include <signal.h>

#include <algorithm>
#include <stdexcept>

#include "experiments/core/command_line.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

std::vector<Verb>& registered() {
  static std::vector<Verb> table;
  return table;
}

int run_lowbit(const Words& words) {
  const std::vector<Verb> table = verbs();
  std::vector<std::string> names;
  for (const Verb& v : table) names.emplace_back(v.name);
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::string text =
        "lowbit: exact low-bit formats, experiments and their results\n\nusage: lowbit VERB [options]\n\n";
    for (const Verb& v : table) text += fmt::format("  {:<12}{}\n", v.name, v.help);
    text += "\nlowbit VERB --help tells more; lowbit --version names the build.\n";
    fmt::print(words.empty() ? stderr : stdout, "{}", text);
    return words.empty() ? static_cast<int>(ExitCode::usage) : 0;
  }
  const std::string name = words[0] == "--version" ? "version" : words[0];
  for (const Verb& v : table)
    if (v.name == name) return v.run(Words(words.begin() + 1, words.end()));
  throw_error(ExitCode::usage, "unknown verb '{}'{}", name, suggestion(name, names));
}

}  // namespace

VerbRegistrar::VerbRegistrar(std::string_view name, std::string_view help, VerbFunction run, std::string_view file) {
  registered().push_back({name, help, run, file});
}

std::vector<Verb> verbs() {
  std::vector<Verb> table = registered();
  std::sort(table.begin(), table.end(), [](const Verb& a, const Verb& b) { return a.name < b.name; });
  for (std::size_t i = 1; i < table.size(); ++i)
    if (table[i].name == table[i - 1].name)
      throw std::logic_error(fmt::format("verb '{}' is registered twice: in {} and in {}", table[i].name,
                                         table[i - 1].file, table[i].file));
  return table;
}

}  // namespace lowbit

int main(int argc, char** argv) {
  signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of the write, not a crash
  signal(SIGPIPE, SIG_IGN);
  return lowbit::guarded_main("lowbit", lowbit::run_lowbit, {argv + 1, argv + argc});
}
