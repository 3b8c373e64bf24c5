#include "sim/source/npy.hpp"

#include <cstdint>
#include <cstring>
#include <limits>

#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;
using lowbit::test::refusal_of;

namespace {

// A .npy file built from the format's description, independent of npy_header().
std::string npy(int major, const std::string& dictionary, const std::string& data) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(major);
  file += '\0';
  const std::uint32_t length = static_cast<std::uint32_t>(dictionary.size());
  file.append(reinterpret_cast<const char*>(&length), major == 1 ? 2 : 4);
  return file + dictionary + data;
}

std::string dictionary(const std::string& descr, const std::string& shape, const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

TEST_CASE("npy: each accepted type, version and byte order gives its exact values", "[npy]") {
  const test::TemporaryFolder folder;
  const std::vector<float> expected = {1.0f, -2.5f, 0.0f, 65504.0f};
  const auto values = [&](const std::string& file) { return open_npy(folder.file("x.npy", file)).load_float(); };
  for (const int version : {1, 2, 3})
    CHECK(values(npy(version, dictionary("<f4", "(4,)"), bytes_of(expected))) == expected);
  CHECK(values(npy(1, dictionary("<f8", "(4,)"), bytes_of(std::vector<double>{1, -2.5, 0, 65504}))) == expected);
  const std::vector<std::uint16_t> half = {0x3c00, 0xc100, 0x0000, 0x7bff};
  CHECK(values(npy(1, dictionary("<f2", "(4,)"), bytes_of(half))) == expected);
  const std::vector<std::uint16_t> brain = {0x3f80, 0xc020, 0x0000, 0x4780};
  CHECK(values(npy(1, dictionary("|V2", "(4,)"), bytes_of(brain))) == std::vector<float>{1.0f, -2.5f, 0.0f, 65536.0f});
  CHECK(values(npy(1, dictionary("<V2", "(4,)"), bytes_of(brain))).size() == 4);
  std::string big;
  for (const char c : {'\x3f', '\x80', '\0', '\0', '\xc0', '\x20', '\0', '\0'}) big += c;
  CHECK(values(npy(1, dictionary(">f4", "(2,)"), big)) == std::vector<float>{1.0f, -2.5f});
}

TEST_CASE("npy: Fortran order becomes C order, any number of axes", "[npy]") {
  const test::TemporaryFolder folder;
  // shape (2, 3, 2), value 100 i + 10 j + k, first axis fastest
  std::vector<float> stored;
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) stored.push_back(static_cast<float>(100 * i + 10 * j + k));
  const StoredTensor tensor =
      open_npy(folder.file("f.npy", npy(1, dictionary("<f4", "(2, 3, 2)", "True"), bytes_of(stored))));
  CHECK(tensor.shape == Shape{2, 3, 2});
  CHECK(tensor.load_float() == std::vector<float>{0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121});
}

TEST_CASE("npy: empty and zero-dimensional arrays", "[npy]") {
  const test::TemporaryFolder folder;
  CHECK(open_npy(folder.file("a.npy", npy(1, dictionary("<f4", "(0, 5)"), ""))).load_float().empty());
  const StoredTensor single = open_npy(folder.file("b.npy", npy(1, dictionary("<f4", "()"), bytes_of<float>({3}))));
  CHECK(single.shape.empty());
  CHECK(single.load_float() == std::vector<float>{3});
}

TEST_CASE("npy: float64 is loaded exactly as double and rounded once as float", "[npy]") {
  const test::TemporaryFolder folder;
  const std::vector<double> values = {0.1, 1e300, -1e-320, 1 + 0x1p-24, 1 + 0x1p-24 + 0x1p-50};
  const StoredTensor tensor = open_npy(folder.file("d.npy", npy(1, dictionary("<f8", "(5,)"), bytes_of(values))));
  CHECK(tensor.load_double() == values);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(tensor.load_float() == std::vector<float>{0.1f, infinity, -0.0f, 1.0f, 0x1.000002p0f});
}

TEST_CASE("npy: damaged headers are refused with one line that says what is wrong", "[npy]") {
  const test::TemporaryFolder folder;
  struct Case {
    std::string file, says;
  };
  const std::string four(16, '\0');
  const std::vector<Case> cases = {
      {"", "does not start with"},
      {"PK\x03\x04 a zip archive", "does not start with"},
      {npy(4, dictionary("<f4", "(4,)"), four), "version 4.0"},
      {std::string("\x93NUMPY\x01\x00\xff\xff{", 11), "header of 65535 bytes"},
      {npy(2, dictionary("<f4", "(4,)"), four).replace(8, 4, "\xff\xff\xff\x7f"), "header of 2147483647 bytes"},
      {npy(1, dictionary("<f4", "(5,)"), four), "truncated"},
      {npy(1, dictionary("<f4", "(3,)"), four), "4 bytes follow"},
      {npy(1, dictionary("<f4", "(1152921504606846976,)"), four), "truncated"},
      {npy(1, dictionary("<f4", "(4294967296, 4294967296)"), four), "2^63 - 1"},
      {npy(1, dictionary("<f4", "(18446744073709551616,)"), four), "an extent from 0 to 2^64 - 1"},
      {npy(1, dictionary("<f4", "(-4,)"), four), "an extent from 0"},
      {npy(1, dictionary("<f4", "(4)"), four), "a tuple is expected"},
      {npy(1, dictionary("<f4", "[4]"), four), "'(' is expected"},
      {npy(1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,)}", four), "'descr' occurs twice"},
      {npy(1, "{'descr': '<f4', 'fortran_order': False}", four), "must all be given"},
      {npy(1, "{'descr': '<f4', 'fortran_order': 0, 'shape': (4,)}", four), "True or False"},
      {npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'x': 1}", four), "unknown key 'x'"},
      {npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4,)} import os", four), "text after"},
      {npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}", four), "structured dtype"},
      {npy(1, dictionary("|O", "(2,)"), four), "'|O' is not accepted"}};
  for (const Case& c : cases) {
    const auto refusal = refusal_of([&] { open_npy(folder.file("bad.npy", c.file)); });
    CAPTURE(refusal.message);
    CHECK(refusal.names(c.says));
    CHECK(refusal.names("bad.npy"));
    CHECK(refusal.code == ExitCode::bad_data);
  }
}

TEST_CASE("npy: types without an accepted reading are refused by name when they are loaded", "[npy]") {
  const test::TemporaryFolder folder;
  for (const std::string descr : {"<i4", "<u2", "|b1", "|u1", "<c8", "<U1"}) {
    const std::size_t width = descr == "|b1" || descr == "|u1" ? 1 : descr == "<c8" ? 8 : descr == "<u2" ? 2 : 4;
    const StoredTensor tensor =
        open_npy(folder.file("i.npy", npy(1, dictionary(descr, "(2,)"), std::string(2 * width, '\0'))));
    const auto refusal = refusal_of([&] { tensor.load_float(); });
    CHECK(refusal.names("'" + descr + "'"));
    CHECK(refusal.names("bfloat16"));
    CHECK(refusal.code == ExitCode::bad_data);
  }
}

TEST_CASE("npy: what cannot be opened is told apart from what is damaged", "[npy]") {
  const test::TemporaryFolder folder;
  CHECK(refusal_of([&] { open_npy(folder / "none.npy"); }).code == ExitCode::no_input);
  const auto refusal = refusal_of([&] { open_npy(folder / "."); });
  CHECK(refusal.code == ExitCode::no_input);
  CHECK(refusal.names("is a directory"));
}

TEST_CASE("npy: a written header is read back and data start at a multiple of 64", "[npy]") {
  const test::TemporaryFolder folder;
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{1, 1, 1, 1, 1, 6}}) {
    const std::string header = npy_header(shape, "<f4");
    CHECK(header.size() % 64 == 0);
    std::size_t count = 1;
    for (const std::size_t extent : shape) count *= extent;
    const StoredTensor tensor = open_npy(folder.file("w.npy", header + std::string(4 * count, '\0')));
    CHECK(tensor.shape == shape);
    CHECK(tensor.dtype == DType::f32);
    CHECK_FALSE(tensor.fortran_order);
  }
}
