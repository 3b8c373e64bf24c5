// Casts of ml_dtypes and gfloat, kept as digests by scripts/oracle/elements_peers.py.
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "formats/codec.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/element_vectors.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

/// All bf16 values, then all fp16 values, NaN left out.
std::vector<float> peer_inputs() {
  std::vector<float> inputs;
  for (const char* name : {"bf16", "fp16"}) {
    for (std::uint32_t code = 0; code < 1u << 16; ++code) {
      const float x = decode(element(name), code);
      if (!std::isnan(x)) inputs.push_back(x);
    }
  }
  return inputs;
}

/// FNV-1a-64 of the bytes of 4096 results each.
std::vector<std::string> digests(const std::vector<float>& inputs, const Element& e, Conversion conversion) {
  std::vector<std::string> all;
  for (std::size_t start = 0; start < inputs.size(); start += 4096) {
    std::uint64_t digest = 0xCBF29CE484222325;
    for (std::size_t i = start; i < std::min(start + 4096, inputs.size()); ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(round_to(e, inputs[i], conversion));
      for (int byte = 0; byte < 4; ++byte) digest = (digest ^ (bits >> 8 * byte & 0xFF)) * 0x100000001B3;
    }
    all.push_back(fmt::format("{:016x}", digest));
  }
  return all;
}

}  // namespace

TEST_CASE("conversions agree with ml_dtypes and gfloat on all bf16 and fp16 values", "[codec]") {
  const std::vector<float> inputs = peer_inputs();
  std::size_t rows = 0;
  for (const auto& row : read_tsv(std::string(LOWBIT_SOURCE_DIR) + "/tests/vectors/elements_peers.tsv")) {
    INFO(row.at(0) << " " << row.at(1) << " " << row.at(2) << " " << row.at(3));
    const Rounding rounding = row[2] == "rne" ? Rounding::rne : row[2] == "rna" ? Rounding::rna : Rounding::rtz;
    const Overflow overflow = row[3] == "sat" ? Overflow::sat : Overflow::ovf;
    const std::vector<std::string> want(row.begin() + 4, row.end());
    const std::vector<std::string> got = digests(inputs, element(row[1]), {rounding, overflow});
    std::size_t different = got.size() == want.size() ? 0 : 1;
    for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) different += got[i] != want[i];
    CHECK(different == 0);
    ++rows;
  }
  CHECK(rows == 44);
}
