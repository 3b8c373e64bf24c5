// A file that is read in place and cut off meanwhile.
#include "experiments/core/signals.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "formats/error.hpp"
#include "sim/source/input_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

namespace lowbit::test {
namespace {

TEST_CASE("a mapped file that is cut off ends the program with one line and the code of bad data", "[signals]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("weights", std::string(1 << 20, 'x'));
  int line[2];
  REQUIRE(::pipe(line) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(line[1], STDERR_FILENO);
    watch_mapped_files("lowbit", folder.path());
    InputFile file(path);
    const volatile std::byte* values = file.map();
    if (::truncate(path.c_str(), 4096) != 0) ::_exit(1);
    ::_exit(values[1 << 19] == std::byte{'x'} ? 2 : 3);
  }
  ::close(line[1]);
  std::string said(1000, '\0');
  const ssize_t length = ::read(line[0], said.data(), said.size());
  ::close(line[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == static_cast<int>(ExitCode::bad_data));
  REQUIRE(length > 0);
  said.resize(static_cast<std::size_t>(length));
  CHECK(said == "lowbit: error: '" + folder.path() + "': a file became shorter or could not be read\n");
}

}  // namespace
}  // namespace lowbit::test
