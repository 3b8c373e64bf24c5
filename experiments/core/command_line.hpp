// Options of a program or verb: Boost.Program_options with its traps closed. No guessing of abbreviated names, values
// stay text until they are read as what they should be, stray words and repeated single options are refused.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// Marks an option that must be given.
struct Required {};

/// Declares, parses and reads the options of one program. Every mistake of the user is an Error with ExitCode::usage
/// that names the option, the value and what is accepted. Options named here: without dashes, as in "threads".
class CommandLine {
 public:
  /// `program` as the user types it ("lowbit cast"), `purpose` one sentence for --help. "help" is declared already.
  CommandLine(std::string program, std::string purpose);
  ~CommandLine();
  CommandLine(CommandLine&&) noexcept;

  /// An option with a value; `fallback` is what text() and the others read when it is not given.
  CommandLine& value(const std::string& name, const std::string& placeholder, const std::string& help,
                     const std::string& fallback = "");
  CommandLine& value(const std::string& name, const std::string& placeholder, const std::string& help, Required);
  /// A value that may be given several times, in order: --set a=1 --set b=2.
  CommandLine& repeated(const std::string& name, const std::string& placeholder, const std::string& help);
  /// A switch without value.
  CommandLine& flag(const std::string& name, const std::string& help);
  /// A one-letter form of an option declared before: abbreviation('o', "out").
  CommandLine& abbreviation(char letter, const std::string& name);
  /// Words without dashes: at least `min`, at most `max`. None are accepted unless declared.
  CommandLine& words(const std::string& placeholder, const std::string& help, std::size_t min,
                     std::size_t max = std::numeric_limits<std::size_t>::max());
  /// Leaves an option out of --help and of --list-options.
  CommandLine& hide(const std::string& name);
  /// Text printed under the options by --help.
  CommandLine& footer(std::string text);

  /// Reads the arguments (without the program's own name). False when --help or --list-options was answered on stdout;
  /// the program then returns 0.
  bool parse(const std::vector<std::string>& arguments);

  bool given(std::string_view name) const;  ///< the option was typed (a flag: is set)
  const std::string& text(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;  ///< every occurrence of a repeated option
  const std::vector<std::string>& words() const;
  std::int64_t integer(std::string_view name, std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                       std::int64_t max = std::numeric_limits<std::int64_t>::max()) const;
  double real(std::string_view name, double min = -std::numeric_limits<double>::infinity(),
              double max = std::numeric_limits<double>::infinity()) const;
  /// The value, which must be one of `choices`.
  const std::string& choice(std::string_view name, const std::vector<std::string>& choices) const;
  const std::string& program() const;
  std::string help() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Decimal integer in [min, max]; Error naming `place`, the text and the range otherwise. 1e3 and 0x10 are refused.
std::int64_t parse_integer(std::string_view text, std::string_view place,
                           std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                           std::int64_t max = std::numeric_limits<std::int64_t>::max());
/// Finite decimal number in [min, max]; nan, inf, hexadecimal and trailing text are refused. Independent of the locale.
double parse_real(std::string_view text, std::string_view place, double min = -std::numeric_limits<double>::infinity(),
                  double max = std::numeric_limits<double>::infinity());

/// "unknown axis 'kapa' of fig3; did you mean 'kappa'? accepted: kappa, format": the tail of every such message.
/// Lists at most 20 of the accepted names.
std::string suggestion(std::string_view word, const std::vector<std::string>& accepted);

/// Runs `body` and maps what it throws to an exit code: the one line of an Error on stderr and its code, 70 for a bug
/// or for lack of memory or threads, 74 for a file or folder that the system refuses. Flushes stdout; an output that
/// cannot be written is 74.
int guarded_main(std::string_view program, int (*body)(const std::vector<std::string>&),
                 const std::vector<std::string>& arguments);

}  // namespace lowbit
