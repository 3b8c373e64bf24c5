// Expectations on the one exception type.
#pragma once
#include <functional>
#include <string>

#include "formats/error.hpp"
#include "tests/support/catch.hpp"

namespace lowbit::test {

/// The message and exit code of the Error that `action` throws; fails the test where none is thrown or it has two
/// lines.
struct Refusal {
  std::string message;
  ExitCode code = ExitCode::ok;
  bool names(const std::string& text) const { return message.find(text) != std::string::npos; }
};
inline Refusal refusal_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    return {message, error.code()};
  }
  FAIL("no Error was thrown");
  return {};
}

}  // namespace lowbit::test
