// Every block format against an oracle in exact rationals (scripts/oracle/blocks.py): split form and values, each on
// its own.
#include <bit>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "formats/block.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

const std::string kFolder = std::string(LOWBIT_SOURCE_DIR) + "/tests/vectors/blocks/";
const QuantizeContext kContext{.stream = 0x1234, .first_index = 1000003, .tensor_amax = {}};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> fields(1);
  for (const char c : text)
    if (c == separator)
      fields.emplace_back();
    else
      fields.back() += c;
  return fields;
}

std::vector<std::vector<std::string>> rows(const std::string& name) {
  std::ifstream file(kFolder + name);
  REQUIRE(file.is_open());
  std::vector<std::vector<std::string>> out;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line[0] != '#') out.push_back(split(line, '\t'));
  return out;
}

std::vector<std::uint32_t> words(const std::string& field) {
  std::vector<std::uint32_t> out;
  if (field == "-") return out;
  for (const std::string& word : split(field, ','))
    out.push_back(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
  return out;
}

struct Input {
  std::string name;
  std::vector<float> x;
};

std::vector<Input> inputs() {
  std::vector<Input> out;
  for (const auto& row : rows("inputs.tsv")) {
    out.push_back({row.at(0), {}});
    for (const std::uint32_t word : words(row.at(1))) out.back().x.push_back(std::bit_cast<float>(word));
  }
  return out;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> out;
  for (const float v : values) out.push_back(std::bit_cast<std::uint32_t>(v));
  return out;
}

std::vector<std::uint32_t> codes_of(const Quantized& q) {
  std::vector<std::uint32_t> out(q.layout.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = q.code(i);
  return out;
}

class Fnv {
 public:
  void add(const std::vector<std::uint32_t>& values) {
    for (const std::uint32_t word : values)
      for (int byte = 0; byte < 4; ++byte) hash_ = (hash_ ^ (word >> (8 * byte) & 0xFFu)) * 0x01000193u;
  }
  std::uint32_t value() const { return hash_; }

 private:
  std::uint32_t hash_ = 0x811C9DC5u;
};

std::uint32_t digest(const Quantized& q) {
  Fnv fnv;
  fnv.add(q.scales);
  fnv.add(q.zero_points);
  if (q.tensor_scale) fnv.add({std::bit_cast<std::uint32_t>(*q.tensor_scale)});
  fnv.add(codes_of(q));
  return fnv.value();
}

std::uint32_t digest(const std::vector<float>& values) {
  Fnv fnv;
  fnv.add(bits_of(values));
  return fnv.value();
}

std::uint32_t digit8(const std::string& digests, std::size_t i) {
  return static_cast<std::uint32_t>(std::stoul(digests.substr(8 * i, 8), nullptr, 16));
}

}  // namespace

TEST_CASE("Block formats give the oracle's codes and values", "[block][oracle]") {
  const std::vector<Input> all = inputs();
  std::size_t compared = 0;
  for (const auto& row : rows("digests.tsv")) {
    const Format format = parse_format(row.at(0));
    CAPTURE(row[0]);
    REQUIRE(row.at(1).size() == 8 * all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      CAPTURE(all[i].name);
      const Layout layout = Layout::vector(all[i].x.size());
      const Quantized q = encode_ref(format, layout, all[i].x.data(), kContext);
      std::vector<float> fake(all[i].x.size()), decoded(fake.size());
      fake_quantize_ref(format, layout, all[i].x.data(), fake.data(), kContext);
      decode_ref(q, decoded.data());
      std::vector<float> entry(fake.size());
      fake_quantize(format, layout, all[i].x.data(), entry.data(), kContext);
      CHECK(digest(entry) == digit8(row.at(2), i));
      CHECK(digest(q) == digit8(row[1], i));
      CHECK(digest(fake) == digit8(row.at(2), i));
      CHECK(digest(decoded) == digit8(row[2], i));
      compared += fake.size();
    }
  }
  CHECK(compared > 1500000);
}

TEST_CASE("The same in full for a few formats and inputs", "[block][oracle]") {
  std::map<std::string, std::vector<float>> by_name;
  for (Input& input : inputs()) by_name[input.name] = input.x;
  std::size_t lines = 0;
  for (const auto& row : rows("worked.tsv")) {
    CAPTURE(row.at(0), row.at(1));
    const std::vector<float>& x = by_name.at(row[1]);
    const Format format = parse_format(row[0]);
    const Quantized q = encode_ref(format, Layout::vector(x.size()), x.data(), kContext);
    std::vector<float> fake(x.size());
    fake_quantize_ref(format, Layout::vector(x.size()), x.data(), fake.data(), kContext);
    CHECK(q.tensor_scale.has_value() == (row.at(2) != "-"));
    if (q.tensor_scale) {
      CHECK(std::bit_cast<std::uint32_t>(*q.tensor_scale) == words(row[2]).at(0));
    }
    CHECK(q.scales == words(row.at(3)));
    CHECK(q.zero_points == words(row.at(4)));
    CHECK(codes_of(q) == words(row.at(5)));
    CHECK(bits_of(fake) == words(row.at(6)));
    ++lines;
  }
  CHECK(lines == 55);
}
