// The bytes of whole blocks against those that ggml writes (tests/vectors/ggml_bytes.tsv), and back.
#include <fstream>
#include <map>
#include <sstream>

#include "formats/error.hpp"
#include "formats/like/ggml_bytes.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/like_inputs.hpp"

namespace {

using lowbit::Format;
using lowbit::Layout;
using lowbit::Quantized;
using lowbit::test::contains;

struct ByteRow {
  lowbit::test::LikeRow inputs;
  std::vector<std::uint64_t> digests;
  std::vector<std::uint8_t> small;  // of 7, -5, 3.5, ... and zeros
};

std::vector<std::uint8_t> from_hex(const std::string& hex) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

ByteRow parse_type(std::istringstream& fields) {
  ByteRow row;
  std::string field;
  row.inputs.blocks = 1 << 16;
  const auto value = [&] {
    fields >> field;
    return field.substr(field.find('=') + 1);
  };
  row.inputs.group = std::stoul(value());
  std::istringstream classes(value());
  for (std::string item; std::getline(classes, item, ',') && item != "-";) row.inputs.exclude.insert(std::stoi(item));
  row.inputs.low = static_cast<std::uint32_t>(std::stoul(value()));
  while (fields >> field) row.digests.push_back(std::stoull(field, nullptr, 16));
  return row;
}

std::map<std::string, ByteRow> read_rows() {
  std::ifstream file(LOWBIT_SOURCE_DIR "/tests/vectors/ggml_bytes.tsv");
  REQUIRE(file.good());
  std::map<std::string, ByteRow> rows;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string word, name, hex;
    fields >> word >> name;
    if (word == "type") rows[name] = parse_type(fields);
    if (word != "small") continue;
    fields >> hex;
    rows.at(name).small = from_hex(hex);
  }
  return rows;
}

/// Bytes of one tensor, one row of all values; decoding them gives what fake quantisation gives.
std::vector<std::uint8_t> bytes_and_back(const Format& format, const std::vector<float>& x) {
  const Layout layout = Layout::vector(x.size());
  const std::vector<std::uint8_t> bytes = lowbit::like::ggml_bytes(lowbit::encode_ref(format, layout, x.data()));
  std::vector<float> decoded(x.size()), fake(x.size());
  lowbit::decode_ref(lowbit::like::ggml_from_bytes(format, layout, bytes), decoded.data());
  lowbit::fake_quantize_ref(format, layout, x.data(), fake.data());
  std::size_t differing = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    differing += std::bit_cast<std::uint32_t>(decoded[i]) != std::bit_cast<std::uint32_t>(fake[i]);
  }
  CHECK(differing == 0);
  return bytes;
}

}  // namespace

TEST_CASE("whole blocks have the bytes that ggml writes", "[like][ggml]") {
  const std::map<std::string, ByteRow> rows = read_rows();
  CHECK(rows.size() == 9);
  for (const auto& [name, row] : rows) {
    INFO(name);
    const Format format = lowbit::parse_format(name);
    const std::vector<std::uint8_t> bytes = bytes_and_back(format, lowbit::test::like_inputs(row.inputs));
    CHECK(lowbit::test::like_digests(bytes, bytes.size() / 16) == row.digests);
    const std::size_t values = name.starts_with("tq2_0") ? 256 : name.starts_with("nvfp4") ? 64 : 32;
    std::vector<float> x = {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, 0.75f, -0.25f, 0.3125f, -0.1f, 0.0f, -0.0f};
    x.resize(values, 0.0f);
    CHECK(bytes_and_back(format, x) == row.small);
  }
}

TEST_CASE("the two coders of Q8_0 part at ties", "[like][ggml]") {
  std::vector<float> x = {127, 0.5f, 1.5f, -2.5f};
  x.resize(32, 0.0f);
  const auto codes = [&](const char* name) {
    const Quantized q = lowbit::encode_ref(lowbit::parse_format(name), Layout::vector(32), x.data());
    return std::vector<int>{static_cast<std::int8_t>(q.codes[0]), static_cast<std::int8_t>(q.codes[1]),
                            static_cast<std::int8_t>(q.codes[2]), static_cast<std::int8_t>(q.codes[3])};
  };
  CHECK(codes("q8_0") == std::vector<int>{127, 1, 2, -3});
  CHECK(codes("q8_0:like=ggml_avx") == std::vector<int>{127, 0, 2, -2});
}

TEST_CASE("tensors that ggml has no blocks for are refused", "[like][ggml]") {
  const Format q4 = lowbit::parse_format("q4_0"), nvfp4 = lowbit::parse_format("nvfp4:like=ggml");
  const std::vector<float> x(64 * 32, 1.0f);
  CHECK_THROWS_WITH(lowbit::encode_ref(q4, Layout::vector(40), x.data()), contains("multiples of 32"));
  const Quantized ragged = lowbit::encode_ref(nvfp4, Layout::matrix(2, 48), x.data());
  CHECK_THROWS_WITH(lowbit::like::ggml_bytes(ragged), contains("multiples of 64"));
  const Quantized first_axis = lowbit::encode_ref(q4, Layout({32, 64}, 0), x.data());
  CHECK_THROWS_WITH(lowbit::like::ggml_bytes(first_axis), contains("last axis"));
  const Quantized native = lowbit::encode_ref(lowbit::parse_format("mxfp4"), Layout::vector(32), x.data());
  CHECK_THROWS_WITH(lowbit::like::ggml_bytes(native), contains("like=ggml"));
  CHECK_THROWS_WITH(lowbit::like::ggml_from_bytes(q4, Layout::vector(64), std::vector<std::uint8_t>(35)),
                    contains("64 values take 36"));
}
