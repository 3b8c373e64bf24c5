// Plain casts against ml_dtypes and numpy: every code decoded, and all ties, values and their neighbours cast.
#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <sstream>

#include "formats/codec.hpp"
#include "formats/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/like_inputs.hpp"

namespace {

using lowbit::Element;

std::vector<float> decoded(const Element& element) {
  std::vector<float> values;
  for (std::uint32_t code = 0; code < element.code_count(); ++code) values.push_back(lowbit::decode(element, code));
  return values;
}

/// Non-negative finite values, the midpoints between neighbours, and half a gap above the largest.
std::vector<float> points(const std::vector<float>& values) {
  std::vector<double> v;
  for (const float x : values)
    if (std::isfinite(x) && !std::signbit(x)) v.push_back(x);
  std::sort(v.begin(), v.end());
  v.erase(std::unique(v.begin(), v.end()), v.end());
  std::vector<float> out(v.begin(), v.end());
  for (std::size_t i = 0; i + 1 < v.size(); ++i) out.push_back(static_cast<float>((v[i] + v[i + 1]) / 2));
  out.push_back(static_cast<float>(v.back() + (v.back() - v[v.size() - 2]) / 2));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

/// The inputs that scripts/oracle/casts.py describes.
std::vector<std::uint32_t> cast_inputs(const std::vector<float>& values) {
  std::vector<std::uint32_t> out;
  const auto both_signs = [&](std::uint32_t bits) { out.insert(out.end(), {bits, bits | 0x80000000u}); };
  for (const float point : points(values)) {
    for (int step = -2; step <= 2; ++step) {
      const std::int64_t bits = std::int64_t{std::bit_cast<std::uint32_t>(point)} + step;
      if (bits >= 0 && bits <= 0x7F800000) both_signs(static_cast<std::uint32_t>(bits));
    }
  }
  for (const std::uint32_t bits : {0x7F800000u, 0x7F7FFFFFu, 1u}) both_signs(bits);
  const std::uint64_t stream = lowbit::stream_of("casts");
  for (std::uint64_t i = 0; i < (1u << 18) / 4; ++i)
    for (const std::uint32_t word : lowbit::philox(1, stream, i))
      out.push_back((word & 0x7FFFFFFFu) > 0x7F800000u ? 0u : word);
  return out;
}

/// ml_dtypes 0.6.0 casts what lies between 2^-127 and 1.5 * 2^-127 to the E8M0 2^-126.
bool rounded_wrongly(std::uint32_t bits) {
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  return magnitude > 0x00400000u && magnitude < 0x00600000u;
}

std::uint64_t digest(const std::vector<std::uint32_t>& words) {
  return lowbit::test::like_digests(words, words.size()).at(0);
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
  return bits;
}

}  // namespace

TEST_CASE("casts agree with ml_dtypes and numpy", "[codec][casts]") {
  std::ifstream file(LOWBIT_SOURCE_DIR "/tests/vectors/casts/ml_dtypes.tsv");
  REQUIRE(file);
  int types = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string word, name, codes, count;
    std::uint64_t of_codes, of_inputs, of_casts;
    fields >> word;
    if (word != "type") continue;
    fields >> name >> codes >> count >> std::hex >> of_codes >> of_inputs >> of_casts;
    REQUIRE(fields);
    INFO(name);
    ++types;
    const Element& element = lowbit::element(name);
    const std::vector<float> values = decoded(element);
    CHECK("codes=" + std::to_string(values.size()) == codes);
    CHECK(digest(bits_of(values)) == of_codes);
    std::vector<std::uint32_t> inputs = cast_inputs(values);
    if (name == "e8m0") std::replace_if(inputs.begin(), inputs.end(), rounded_wrongly, 0u);
    CHECK("inputs=" + std::to_string(inputs.size()) == count);
    REQUIRE(digest(inputs) == of_inputs);
    // ml_dtypes gives E8M0 ties to the larger power of two.
    const auto rounding = element.kind == lowbit::ElementKind::exponent ? lowbit::Rounding::rna : lowbit::Rounding::rne;
    std::vector<float> casts;
    for (const std::uint32_t bits : inputs)
      casts.push_back(lowbit::round_to(element, std::bit_cast<float>(bits), {rounding, lowbit::Overflow::ovf}));
    CHECK(digest(bits_of(casts)) == of_casts);
  }
  CHECK(types == 13);
}
