// Every element under every scale element, over all exponents: where scales saturate, round to zero or are subnormal.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/formats/kernels/twin.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

constexpr std::size_t kRow = 64, kRows = 254;

/// Row r: 64 values of one sign pattern, within twelve binades that begin at the smallest exponent plus r.
std::vector<float> rows_of_all_exponents() {
  std::vector<float> x(kRow * kRows);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto w = philox(3, 0, i);
    const int first = static_cast<int>(i / kRow) - 126;
    const double significand = (w[0] & 1 ? 1 : -1) * (1 + (w[1] >> 20) * 0x1p-12);
    x[i] = static_cast<float>(std::ldexp(significand, std::min(first + static_cast<int>(w[2] % 12), 127)));
  }
  return x;
}

void check(const std::string& name, const std::vector<float>& x) {
  const Format format = parse_format(name);
  for (const Layout& layout : {Layout::vector(x.size()), Layout({kRows, kRow}, 0)}) {
    INFO(name << " on " << kernels::target() << ", axis " << layout.axis);
    std::vector<float> expected(x.size()), y(x.size()), decoded(x.size());
    fake_quantize_ref(format, layout, x.data(), expected.data());
    fake_quantize(format, layout, x.data(), y.data());
    decode(encode(format, layout, x.data()), decoded.data());
    for (const auto* ours : {&y, &decoded}) {
      const std::size_t at = first_difference(expected.data(), ours->data(), x.size());
      if (at < x.size())
        FAIL((ours == &y ? "fake: " : "encode: ")
             << "x = " << x[at] << ": reference " << expected[at] << ", kernel " << (*ours)[at]);
    }
  }
}

}  // namespace

TEST_CASE("kernels equal the reference under every scale element", "[kernels]") {
  const std::vector<float> x = rows_of_all_exponents();
  on_every_target([&] {
    for (const Element& element : elements()) {
      if (!element.is_float() && !element.is_integer()) continue;
      if (!element.is_signed || element.bits > 16 || element.name.ends_with("_full")) continue;
      for (const Element& scale : elements())
        if (scale.is_float() && scale.has_nan()) check(fmt::format("{}:g32:s={}", element.name, scale.name), x);
    }
  });
}
