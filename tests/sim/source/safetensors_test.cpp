#include "sim/source/safetensors.hpp"

#include <cstdint>
#include <cstring>

#include "sim/source/tensor_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;
using lowbit::test::refusal_of;

namespace {

std::string safetensors(const std::string& header, const std::string& data, std::uint64_t length) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}
std::string safetensors(const std::string& header, const std::string& data) {
  return safetensors(header, data, header.size());
}
std::string f32(std::size_t count) {
  return std::string(4 * count, '\0');
}

}  // namespace

TEST_CASE("safetensors: values of each floating type", "[safetensors]") {
  const test::TemporaryFolder folder;
  const std::string header =
      R"({"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"s":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
      R"("h":{"dtype":"F16","shape":[2],"data_offsets":[12,16]},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[16,20]},)"
      R"("e":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[20,22]},"f":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[22,24]},)"
      R"("__metadata__":{"format":"pt"}}   )";
  std::string data(24, '\0');
  const double d = -0.1;
  const float s = 3.5f;
  std::memcpy(data.data(), &d, 8);
  std::memcpy(data.data() + 8, &s, 4);
  const std::uint8_t rest[] = {0x00, 0x3c, 0xff, 0x7b, 0x80, 0x3f, 0x80, 0xbf, 0x7e, 0xb8, 0x7b, 0x01};
  std::memcpy(data.data() + 12, rest, sizeof rest);
  const auto tensors = open_safetensors(folder.file("m.safetensors", safetensors(header, data)));
  REQUIRE(tensors.size() == 6);
  CHECK(tensors[0].load_double() == std::vector<double>{-0.1});
  CHECK(tensors[1].load_float() == std::vector<float>{3.5f});
  CHECK(tensors[2].load_float() == std::vector<float>{1.0f, 65504.0f});
  CHECK(tensors[3].load_float() == std::vector<float>{1.0f, -1.0f});
  CHECK(tensors[3].shape == Shape{1, 2});
  CHECK(tensors[4].load_float() == std::vector<float>{448.0f, -1.0f});
  CHECK(tensors[5].load_float() == std::vector<float>{57344.0f, 0x1p-16f});
}

TEST_CASE("safetensors: headers that lie are refused", "[safetensors]") {
  const test::TemporaryFolder folder;
  struct Case {
    std::string file, says;
  };
  const std::string a = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const std::vector<Case> cases = {
      {"1234567", "too few"},
      {safetensors("{}", "", std::uint64_t{1} << 60), "header of 1152921504606846976 bytes"},
      {safetensors("{}", std::string(100, ' '), 100'000'001), "header of 100000001"},
      {safetensors("[]", ""), "does not start with '{'"},
      {safetensors("{\"a\":", ""), "invalid JSON"},
      {safetensors("{\"\xff\":1}", ""), "invalid JSON"},
      {safetensors(a + "," + a.substr(1) + "}", f32(2)), "'a' occurs twice"},
      {safetensors(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", f32(2)),
       "'dtype' occurs twice"},
      {safetensors(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", f32(2)), "\"dtype\" is missing"},
      {safetensors(R"({"a":7})", ""), "\"dtype\" is missing"},
      {safetensors(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", f32(2)), "'\"F31\"' is unknown"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", f32(2)), "\"shape\" is '[-2]'"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", f32(2)), "\"shape\" is '[2.0]'"},
      {safetensors(R"({"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}})", f32(2)), "\"shape\""},
      {safetensors(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", f32(2)),
       "2^63 - 1"},
      {safetensors(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", ""), "does not fill"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", f32(2)), "does not fill the 8 bytes"},
      {safetensors(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", "xx"), "does not fill"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", f32(2)), "begin <= end"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,16]}})", f32(2)), "begin <= end"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", f32(3)), "hole"},
      {safetensors(a + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", f32(3)), "overlap"},
      {safetensors(a + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}})", f32(5)), "hole"},
      {safetensors(a + "}", f32(1)), "truncated"},
      {safetensors(a + "}", f32(3)), "describes 8 bytes of data, the file has 12"}};
  for (const Case& c : cases) {
    const auto refusal = refusal_of([&] { open_safetensors(folder.file("bad.safetensors", c.file)); });
    CAPTURE(refusal.message, c.says);
    CHECK(refusal.names(c.says));
    CHECK(refusal.names("bad.safetensors"));
    CHECK(refusal.code == ExitCode::bad_data);
  }
}

TEST_CASE("safetensors: nesting that would exhaust a stack is refused", "[safetensors]") {
  const test::TemporaryFolder folder;
  const std::string deep = "{\"a\":" + std::string(1 << 20, '[');
  CHECK(refusal_of([&] {
          open_safetensors(folder.file("deep.safetensors", safetensors(deep, "")));
        }).names("nested deeper"));
}

TEST_CASE("safetensors: integers are listed and refused only when they are loaded", "[safetensors]") {
  const test::TemporaryFolder folder;
  const auto tensors = open_safetensors(
      folder.file("i.safetensors", safetensors(R"({"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", f32(2))));
  REQUIRE(tensors.size() == 1);
  CHECK_FALSE(tensors[0].is_float());
  CHECK(refusal_of([&] { tensors[0].load_float(); }).names("'I64'"));
}

TEST_CASE("safetensors: what is written is read back, metadata and empty tensors included", "[safetensors]") {
  const test::TemporaryFolder folder;
  const std::vector<SafetensorsEntry> entries = {
      {"blocks", "U8", {2, 3}, {1, 2, 3, 4, 5, 6}}, {"none", "F32", {0}, {}}, {"scale", "F32", {}, {0, 0, 0x80, 0x3f}}};
  const auto tensors = open_safetensors(folder.file("w.safetensors", safetensors_file(entries, R"({"layout":"x"})")));
  REQUIRE(tensors.size() == 3);
  CHECK(tensors[0].load_bytes().size() == 6);
  CHECK(std::to_integer<int>(tensors[0].load_bytes()[5]) == 6);
  CHECK(tensors[2].name == "scale");
  CHECK(tensors[2].load_float() == std::vector<float>{1.0f});
}

TEST_CASE("model folders: the index decides, and is not trusted", "[safetensors]") {
  const test::TemporaryFolder folder;
  folder.file("one.safetensors", safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                             R"("extra":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                                             f32(3)));
  folder.file("two.safetensors", safetensors(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", f32(1)));
  const auto with_index = [&](const std::string& text) {
    folder.file("model.safetensors.index.json", text);
    return open_tensors(folder / "");
  };
  const auto tensors = with_index(R"({"metadata":{},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].name == "a");
  CHECK(open_tensor((folder / "") + ":b").size() == 1);
  const auto refused = [&](const std::string& text) { return refusal_of([&] { with_index(text); }); };
  CHECK(refused("{").names("invalid JSON"));
  CHECK(refused("[]").names("weight_map"));
  CHECK(refused(R"({"weight_map":{}})").names("names no tensor"));
  CHECK(refused(R"({"weight_map":{"a":"../one.safetensors"}})").names("in the same folder"));
  CHECK(refused(R"({"weight_map":{"a":5}})").names("in the same folder"));
  CHECK(refused(R"({"weight_map":{"a":"two.safetensors"}})").names("'a' is not in 'two.safetensors'"));
  CHECK(refused(R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})").names("occurs twice"));
  const auto missing = refused(R"({"weight_map":{"a":"three.safetensors"}})");
  CHECK(missing.names("three.safetensors"));
  CHECK(missing.code == ExitCode::no_input);
}

TEST_CASE("tensor source: names that are unknown or missing are answered with the known ones", "[safetensors]") {
  const test::TemporaryFolder folder;
  const std::string path =
      folder.file("m.safetensors", safetensors(R"({"layer.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                               R"("layer.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                               f32(2)));
  CHECK(open_tensor(path + ":layer.bias").name == "layer.bias");
  CHECK(refusal_of([&] { open_tensor(path + ":layer.wieght"); }).names("did you mean 'layer.weight'?"));
  CHECK(refusal_of([&] { open_tensor(path); }).names("holds 2 tensors"));
  CHECK(refusal_of([&] { open_tensor(folder / "no.safetensors:x"); }).code == ExitCode::no_input);
  CHECK(refusal_of([&] { open_tensors(folder.file("a.txt", "x")); }).names(".npy, .safetensors"));
}
