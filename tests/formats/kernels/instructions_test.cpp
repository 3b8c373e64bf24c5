// What instructions_test.py counts: a kernel run over and over. Hidden, and nothing by itself.
#include <cstdlib>

#include "tests/formats/kernels/twin.hpp"

using namespace lowbit;
using namespace lowbit::test;

TEST_CASE("a kernel runs LOWBIT_REPEAT times over 16384 values", "[.][instructions]") {
  const char* name = std::getenv("LOWBIT_FORMAT");
  const char* repeat = std::getenv("LOWBIT_REPEAT");
  REQUIRE(name != nullptr);
  REQUIRE(repeat != nullptr);
  REQUIRE(kernels::target() == "AVX2");
  const Format format = parse_format(name);
  std::vector<float> x(16384), y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(random_word(1, 2, i) >> 8) * 0x1p-23f - 1;
  for (int k = 0; k < std::atoi(repeat); ++k)
    REQUIRE(kernels::fake_quantize(format, Layout::vector(x.size()), x.data(), y.data(), {}));
}
