// Files that appear when they are complete.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "formats/error.hpp"
#include "results/store/file_io.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;

namespace {

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("A file written in pieces of any order appears with commit", "[store]") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "values.bin";
  {
    store::AtomicFile file(path, store::Overwrite::refuse);
    file.append(bytes("head"));
    file.write_at(8, bytes("last"));
    file.write_at(4, bytes("next"));
    CHECK_FALSE(std::filesystem::exists(path));
    file.commit();
  }
  CHECK(content(path) == "headnextlast");
  CHECK(folder.count() == 1);
}

TEST_CASE("Without commit nothing is left, and what was there stays", "[store]") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "values.bin";
  std::ofstream(path) << "old";
  { store::AtomicFile(path, store::Overwrite::replace).append(bytes("new")); }
  CHECK(content(path) == "old");
  CHECK(folder.count() == 1);
  CHECK_THROWS_AS(store::AtomicFile(path, store::Overwrite::refuse), Error);
  store::AtomicFile file(path, store::Overwrite::replace);
  file.append(bytes("new"));
  file.commit();
  CHECK(content(path) == "new");
}
