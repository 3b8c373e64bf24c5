#include "sim/source/output_file.hpp"

#include <sys/resource.h>

#include <csignal>

#include "sim/source/input_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;
using lowbit::test::refusal_of;

TEST_CASE("output file: complete after commit, absent without it", "[output]") {
  const test::TemporaryFolder folder;
  {
    OutputFile file(folder / "a", false);
    file.write("hello");
    CHECK(folder.entries() == 1);  // the temporary one
  }
  CHECK(folder.entries() == 0);
  OutputFile file(folder / "a", false);
  file.write("hello");
  file.commit();
  CHECK(folder.entries() == 1);
  CHECK(read_text(folder / "a", 100) == "hello");
}

TEST_CASE("output file: nothing is replaced unasked", "[output]") {
  const test::TemporaryFolder folder;
  folder.file("a", "old");
  CHECK(refusal_of([&] { OutputFile(folder / "a", false); }).code == ExitCode::cannot_create);
  {
    OutputFile late(folder / "b", false);
    folder.file("b", "appeared meanwhile");
    CHECK(refusal_of([&] { late.commit(); }).code == ExitCode::cannot_create);
  }
  CHECK(read_text(folder / "b", 100) == "appeared meanwhile");
  OutputFile forced(folder / "a", true);
  forced.write("new");
  CHECK(read_text(folder / "a", 100) == "old");
  forced.commit();
  CHECK(read_text(folder / "a", 100) == "new");
  CHECK(folder.entries() == 2);
}

TEST_CASE("output file: places that cannot hold a file", "[output]") {
  const test::TemporaryFolder folder;
  for (const std::string& path : {std::string(), folder / "", folder / "none/a", std::string("/dev/null")}) {
    const auto refusal = refusal_of([&] { OutputFile(path, true); });
    CAPTURE(path, refusal.message);
    CHECK(refusal.code == ExitCode::cannot_create);
  }
}

TEST_CASE("output file: a limit on the size of files ends in an Error and leaves nothing", "[output]") {
  const test::TemporaryFolder folder;
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto refusal = refusal_of([&] {
    OutputFile file(folder / "a", false);
    file.write(std::string(5000, 'x'));
  });
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(refusal.code == ExitCode::io);
  CHECK(folder.entries() == 0);
}
