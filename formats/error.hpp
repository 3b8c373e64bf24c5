// The one exception for mistakes of the user: bad names, files, options, shapes.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace lowbit {

/// Exit codes of the programs (sysexits where one fits).
enum class ExitCode {
  ok = 0,
  check_failed = 1,
  usage = 2,
  bad_data = 65,
  no_input = 66,
  internal = 70,
  cannot_create = 73,
  io = 74,
  temporary = 75
};

/// A mistake of the user. `what()` is one line that names the value, the place and what would be accepted; `code()` is
/// the exit code that main returns for it. Programming mistakes are asserts, not Errors; kernels never throw.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = ExitCode::usage)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// throw_error(ExitCode::bad_data, "'{}': ...", path)
template <class... Args>
[[noreturn]] void throw_error(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), code);
}

}  // namespace lowbit
