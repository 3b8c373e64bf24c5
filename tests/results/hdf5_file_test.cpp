#include "results/store/hdf5_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>

#include "formats/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;
using namespace lowbit::store;
using lowbit::test::TemporaryFolder;

namespace {

Group sample() {
  Group root;
  root.set("filetype", std::string("test"));
  root.set("version", std::vector<std::int64_t>{1, 0});
  root.set("half", 0.5);
  root.add_coordinate("kappa", std::vector<double>{1.5, 2.5, 4}, "1", "crest factor");
  root.add_coordinate("format", std::vector<std::string>{"mxint8", "naïve", "x"}, "", "format");
  root.add_coordinate("bits", std::vector<std::int64_t>{4, 8}, "1", "bits");
  std::vector<double> q(18);
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<double>(i) / 3;
  root.arrays.push_back({"qsnr", {"format", "kappa", "bits"}, {3, 3, 2}, q, {{"units", std::string("dB")}}});
  root.arrays.push_back({"codes", {}, {2, 3}, std::vector<std::uint8_t>{0, 1, 2, 253, 254, 255}, {}});
  root.arrays.push_back({"wide", {}, {2}, std::vector<std::uint32_t>{0, 0xffffffffu}, {}});
  root.arrays.push_back({"half_codes", {}, {2}, std::vector<std::uint16_t>{0, 0xffff}, {}});
  root.arrays.push_back({"narrow", {"kappa"}, {3}, std::vector<float>{0.1f, -0.0f, 1e-45f}, {}});
  Group child{"reference", {{"source", std::string("")}}, {}, {}};
  child.arrays.push_back({"text", {}, {3}, std::vector<std::string>{"", "a", "bc"}, {}});
  child.groups.push_back({"empty", {}, {}, {}});
  root.groups.push_back(child);
  return root;
}

/// Sorted as read_tree returns it.
Group sorted(Group group) {
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(group.attributes.begin(), group.attributes.end(), by_name);
  std::sort(group.arrays.begin(), group.arrays.end(), by_name);
  std::sort(group.groups.begin(), group.groups.end(), by_name);
  for (Array& a : group.arrays) std::sort(a.attributes.begin(), a.attributes.end(), by_name);
  for (Group& g : group.groups) g = sorted(g);
  return group;
}

void write_bytes(const std::string& path, const std::vector<std::byte>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

TEST_CASE("a tree comes back as it was written", "[hdf5]") {
  const TemporaryFolder folder;
  write_tree(folder / "a.h5", sample(), Overwrite::refuse);
  CHECK(read_tree(folder / "a.h5") == sorted(sample()));
  CHECK(folder.count() == 1);  // no temporary file is left
}

TEST_CASE("NaN, infinities and signed zeros keep their bits", "[hdf5]") {
  const TemporaryFolder folder;
  const double inf = std::numeric_limits<double>::infinity();
  Group root;
  root.arrays.push_back({"x", {}, {5}, std::vector<double>{std::nan(""), inf, -inf, -0.0, 5e-324}, {}});
  write_tree(folder / "a.h5", root, Overwrite::refuse);
  const Group back = read_tree(folder / "a.h5");
  const auto& want = std::get<std::vector<double>>(root.arrays[0].data);
  const auto& have = std::get<std::vector<double>>(back.arrays.at(0).data);
  REQUIRE(have.size() == want.size());
  CHECK(std::memcmp(have.data(), want.data(), 5 * sizeof(double)) == 0);
}

TEST_CASE("equal trees give equal bytes", "[hdf5]") {
  CHECK(encode_tree(sample()) == encode_tree(sample()));
}

TEST_CASE("arrays larger than a chunk come back", "[hdf5]") {
  const TemporaryFolder folder;
  Group root;
  std::vector<double> big(3 * 70000);
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = std::sqrt(static_cast<double>(i));
  root.arrays.push_back({"big", {}, {3, 70000}, big, {}});
  write_tree(folder / "a.h5", root, Overwrite::refuse);
  CHECK(std::get<std::vector<double>>(read_tree(folder / "a.h5").arrays.at(0).data) == big);
}

TEST_CASE("an attribute longer than 64 KiB is kept", "[hdf5]") {
  const TemporaryFolder folder;
  Group root;
  root.set("long", std::string(100000, 'x'));
  write_tree(folder / "a.h5", root, Overwrite::refuse);
  CHECK(std::get<std::string>(*read_tree(folder / "a.h5").attribute("long")).size() == 100000);
}

TEST_CASE("a file that is there is not replaced unasked", "[hdf5]") {
  const TemporaryFolder folder;
  write_tree(folder / "a.h5", sample(), Overwrite::refuse);
  Group other;
  other.set("other", std::int64_t{1});
  CHECK_THROWS_AS(write_tree(folder / "a.h5", other, Overwrite::refuse), Error);
  CHECK(read_tree(folder / "a.h5") == sorted(sample()));
  write_tree(folder / "a.h5", other, Overwrite::replace);
  CHECK(read_tree(folder / "a.h5") == other);
  CHECK(folder.count() == 1);
}

TEST_CASE("every truncation is refused", "[hdf5]") {
  const TemporaryFolder folder;
  const std::vector<std::byte> bytes = encode_tree(sample());
  for (std::size_t n = 0; n < bytes.size(); n += 97) {
    write_bytes(folder / "cut.h5", {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)});
    CHECK_THROWS_AS(read_tree(folder / "cut.h5"), Error);
  }
}

TEST_CASE("a flipped byte is an error or changes nothing", "[hdf5]") {
  const TemporaryFolder folder;
  Group small;
  small.set("filetype", std::string("test"));
  small.add_coordinate("format", std::vector<std::string>{"mxint8", "nvfp4"}, "", "format");
  small.arrays.push_back({"qsnr", {"format"}, {2}, std::vector<double>{1.25, -7}, {{"units", std::string("dB")}}});
  const std::vector<std::byte> bytes = encode_tree(small);
  const Group whole = sorted(small);
  std::size_t refused = 0, silent = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {  // every byte is the matter of the Python test, in forked readers
    std::vector<std::byte> flipped = bytes;
    flipped[i] ^= std::byte{0x40};
    write_bytes(folder / "flip.h5", flipped);
    try {
      silent += !(read_tree(folder / "flip.h5") == whole);
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(silent == 0);
  CHECK(refused > bytes.size() / 30);
}

TEST_CASE("what is no result file is named", "[hdf5]") {
  const TemporaryFolder folder;
  const auto code = [](const std::string& path) {
    try {
      read_tree(path);
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find(path) != std::string::npos);
      return e.code();
    }
    return ExitCode::ok;
  };
  write_bytes(folder / "text.h5", std::vector<std::byte>(100, std::byte{'a'}));
  write_bytes(folder / "empty.h5", {});
  CHECK(code(folder / "missing.h5") == ExitCode::no_input);
  CHECK(code(folder.path()) == ExitCode::bad_data);
  CHECK(code(folder / "text.h5") == ExitCode::bad_data);
  CHECK(code(folder / "empty.h5") == ExitCode::bad_data);
  CHECK(code("/dev/null") == ExitCode::bad_data);
}

TEST_CASE("malformed trees are refused before anything is written", "[tree]") {
  Group root = sample();
  SECTION("shape") {
    root.arrays.back().shape = {4};
  }
  SECTION("unknown dim") {
    root.arrays.back().dims = {"nowhere"};
  }
  SECTION("twice") {
    root.arrays.push_back(root.arrays.back());
  }
  SECTION("empty") {
    root.arrays.push_back({"none", {}, {0}, std::vector<double>{}, {}});
  }
  SECTION("NUL") {
    root.arrays.push_back({"nul", {}, {1}, std::vector<std::string>{std::string("a\0b", 3)}, {}});
  }
  SECTION("slash") {
    root.groups.push_back({"a/b", {}, {}, {}});
  }
  CHECK_THROWS_AS(encode_tree(root), std::logic_error);
}

TEST_CASE("folders and files in the way are named with exit code 73", "[file_io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "file", {});
  const auto code = [](const std::string& path) {
    try {
      write_atomically(path, {}, Overwrite::replace);
    } catch (const Error& e) {
      return e.code();
    }
    return ExitCode::ok;
  };
  CHECK(code(folder / "file/below") == ExitCode::cannot_create);
  CHECK(code(folder.path()) == ExitCode::cannot_create);
  CHECK(code(folder / "new/folder/file") == ExitCode::ok);
  CHECK(code("/proc/none/file") == ExitCode::cannot_create);
  CHECK(folder.count() == 2);
}
