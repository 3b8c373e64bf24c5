// Kernels against the reference on random formats, lengths, offsets and bit patterns. The short form runs with the unit
// tests; the long one is hidden: test_formats "[exhaustive]".
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "formats/packed.hpp"
#include "tests/formats/kernels/twin.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

/// Bits of four kinds: any, a narrow band of exponents, few mantissa bits (ties), special values.
float fuzzed(const std::array<std::uint32_t, 4>& w, std::uint32_t kind) {
  switch (kind % 4) {
    case 0:
      return std::bit_cast<float>(w[0]);
    case 1:
      return std::bit_cast<float>((w[0] & 0x807fffffu) | ((kind / 4 % 200 + 20 + w[1] % 12) << 23));
    case 2:
      return std::bit_cast<float>((w[0] & 0x80780000u) | ((124 + w[1] % 8) << 23));
    default:
      return w[1] % 50 == 0 ? std::bit_cast<float>(w[0] | 0x7f800000u)
                            : static_cast<float>(static_cast<int>(w[0] % 33) - 16);
  }
}

/// What differs between the packed forms of kernel and reference, or between the values of such forms, of which every
/// other one has random bytes for codes.
std::string packed_difference(const Format& format, const Layout& layout, const float* x,
                              const QuantizeContext& context, std::uint64_t number) {
  PackedTensor expected, got;
  quantize_packed_ref(format, layout, x, expected, context);
  quantize_packed(format, layout, x, got, context);
  if (got.codes != expected.codes) return "codes differ";
  if (got.scales != expected.scales || got.zero_points != expected.zero_points) return "scales or zero points differ";
  for (std::size_t i = 0; number % 2 == 0 && i < got.codes.size(); ++i)
    got.codes[i] = static_cast<std::uint8_t>(random_word(14, number, i) >> 24);
  std::vector<float> values(layout.size()), decoded(layout.size());
  dequantize_packed_ref(got, values.data());
  dequantize_packed(got, decoded.data());
  const std::size_t at = first_difference(values.data(), decoded.data(), values.size());
  if (at == values.size()) return {};
  return fmt::format("decoded value {}: reference {}, kernel {}", at, values[at], decoded[at]);
}

/// One tensor: its format, shape, offset and values are a function of `number`.
std::string fuzz_once(std::uint64_t number, std::size_t largest) {
  const auto choice = philox(11, 1, number);
  const auto& formats = twin_formats();
  const std::string& name = formats[choice[0] % formats.size()];
  const Format format = parse_format(name);
  const std::size_t n = 1 + choice[1] % largest, offset = choice[2] % 17, columns = 1 + choice[3] % 67;
  Layout layout = Layout::vector(n);
  if (choice[2] >> 8 & 1) layout = Layout({n / columns + 1, columns}, static_cast<int>(choice[2] >> 9 & 1));
  const std::size_t size = layout.size();
  std::vector<float> x(size + offset), expected(size), y(size);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = fuzzed(philox(12, number, i), philox(13, number, i / 64)[0]);
  QuantizeContext context;
  context.first_index = choice[3];
  fake_quantize_ref(format, layout, x.data() + offset, expected.data(), context);
  fake_quantize(format, layout, x.data() + offset, y.data(), context);
  const std::size_t at = first_difference(expected.data(), y.data(), size);
  if (at == size) {
    const std::string difference = packed_difference(format, layout, x.data() + offset, context, number);
    if (difference.empty()) return {};
    return fmt::format("{} on {}, tensor {} of {} values: {}", name, kernels::target(), number, size, difference);
  }
  return fmt::format("{} on {}, tensor {}: value {} of {}, x = {}: reference {}, kernel {}", name, kernels::target(),
                     number, at, size, x[at + offset], expected[at], y[at]);
}

/// Tensors first .. until `values` values have been compared.
std::string fuzz(std::uint64_t first, std::uint64_t values, std::size_t largest) {
  const std::size_t mean = largest / 2;
  for (std::uint64_t k = 0; k < values / mean; ++k) {
    const std::string difference = fuzz_once(first + k, largest);
    if (!difference.empty()) return difference;
  }
  return {};
}

}  // namespace

TEST_CASE("kernels equal the reference on random formats, lengths, offsets and bits", "[kernels]") {
  on_every_target([] { REQUIRE(fuzz(0, 1'000'000, 2000) == ""); });
}

TEST_CASE("kernels equal the reference on 10^9 random values", "[.][exhaustive][fuzz]") {
  const std::vector<std::string> targets = kernels::targets();
  const std::uint64_t values = std::uint64_t{1'000'000'000} / (targets.size() - 1) + 1;
  on_every_target([&] {
    const unsigned count = std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::string> differences(count);
    std::vector<std::thread> threads;
    const auto start = std::chrono::steady_clock::now();
    for (unsigned t = 0; t < count; ++t)
      threads.emplace_back([&, t] { differences[t] = fuzz(1'000'000'000 * (t + 1), values / count + 1, 20000); });
    for (std::thread& thread : threads) thread.join();
    for (const std::string& difference : differences) CHECK(difference == "");
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("fuzz {:<6} {} values  {:.0f} s\n", kernels::target(), values, seconds);
    std::fflush(stdout);
  });
}
