#include "results/store/column_file.hpp"

#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>

#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;
using namespace lowbit::store;
using lowbit::test::contains;

namespace {

std::vector<Column> columns() {
  return {{"name", ColumnType::text, {"name"}, {3}, 4, {{"long_name", std::string("who")}}},
          {"step", ColumnType::i64, {"step"}, {2}},
          {"value", ColumnType::f64, {"name", "step"}, {3, 2}},
          {"flag", ColumnType::u8, {"name"}, {3}},
          {"count", ColumnType::u32, {"name"}, {3}}};
}

template <class T>
void put(ColumnWriter& file, std::size_t column, std::vector<T> values) {
  file.append<T>(column, values);
}

void fill(ColumnWriter& file) {
  put<double>(file, 2, {1, 2});
  put<std::string>(file, 0, {"a", "\xC3\xA4xy"});
  put<std::int64_t>(file, 1, {10, 20});
  put<std::uint8_t>(file, 3, {1, 0, 1});
  put<double>(file, 2, {3, 4, 5, std::numeric_limits<double>::infinity()});
  put<std::string>(file, 0, {""});
  put<std::uint32_t>(file, 4, {7, 8, 0xFFFFFFFFu});
}

}  // namespace

TEST_CASE("columns written in pieces are read as a tree and row by row", "[store][columns]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/c.h5";
  {
    ColumnWriter file(path, Overwrite::refuse, {{"filetype", std::string("x")}, {"n", std::int64_t{3}}}, columns());
    fill(file);
    CHECK_FALSE(std::filesystem::exists(path));
    file.finish();
  }
  const Group tree = read_tree(path);
  CHECK(std::get<std::string>(*tree.attribute("filetype")) == "x");
  CHECK(std::get<std::vector<std::string>>(tree.array("name")->data) ==
        std::vector<std::string>{"a", "\xC3\xA4xy", ""});
  CHECK(tree.array("value")->dims == std::vector<std::string>{"name", "step"});
  CHECK(std::get<std::vector<double>>(tree.array("value")->data)[4] == 5);
  const ColumnReader reader(path);
  CHECK(std::get<std::int64_t>(*reader.attribute("n")) == 3);
  CHECK(reader.attribute("m") == nullptr);
  CHECK(reader.column("value")->shape == std::vector<std::size_t>{3, 2});
  CHECK(reader.column("string5") == nullptr);  // a dimension without coordinates
  CHECK(reader.read<std::string>("name", 1, 2) == std::vector<std::string>{"\xC3\xA4xy", ""});
  CHECK(reader.read<double>("value", 1, 1) == std::vector<double>{3, 4});
  CHECK(reader.read<std::uint32_t>("count", 2, 1) == std::vector<std::uint32_t>{0xFFFFFFFFu});
  CHECK(reader.read<std::uint8_t>("flag", 3, 0).empty());
  CHECK_THROWS_WITH(reader.read<double>("count", 0, 1), contains("another type"));
  CHECK_THROWS_WITH(reader.read<double>("none", 0, 1), contains("no dataset 'none'"));
  CHECK_THROWS_WITH(reader.read<double>("value", 2, 2), contains("has 3 rows"));
}

TEST_CASE("a file of columns appears only when it is complete", "[store][columns]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/c.h5";
  {
    ColumnWriter file(path, Overwrite::refuse, {}, columns());
    fill(file);
    CHECK_THROWS_AS((put<double>(file, 2, {1, 2})), std::logic_error);  // one row too many
    CHECK_THROWS_AS((put<double>(file, 3, {1})), std::logic_error);     // another type
    CHECK_THROWS_AS((put<std::int64_t>(file, 1, {1})), std::logic_error);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  {
    ColumnWriter file(path, Overwrite::refuse, {}, columns());
    CHECK_THROWS_AS(file.finish(), std::logic_error);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  std::ofstream(path) << "mine";
  CHECK_THROWS_WITH(ColumnWriter(path, Overwrite::refuse, {}, columns()), contains("exists"));
  CHECK_THROWS_AS(ColumnReader(path), Error);
  CHECK_THROWS_AS(ColumnReader(folder.path() + "/none.h5"), Error);
  CHECK_THROWS_AS(ColumnReader(folder.path()), Error);
}
