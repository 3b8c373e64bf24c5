// All 2^32 floats through the kernels against the reference, for every element of at most 8 bits. Hidden: run with
// test_formats "[exhaustive]". LOWBIT_ELEMENTS=e4m3,int8 takes those elements alone.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "formats/codec.hpp"
#include "tests/formats/kernels/twin.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

bool wanted(std::string_view name) {
  const char* list = std::getenv("LOWBIT_ELEMENTS");
  return list == nullptr || fmt::format(",{},", list).find(fmt::format(",{},", name)) != std::string::npos;
}

/// Values of [first, first + count) that the kernel's cast and the reference's disagree on. The reference is asked at
/// the ends of runs of equal results (casts are monotone on the floats of one sign, and a chunk has NaNs alone or
/// none), the kernel for every value.
std::uint64_t wrong_casts(const Format& format, std::uint32_t first, std::size_t count) {
  std::vector<float> x(count), y(count);
  for (std::size_t i = 0; i < count; ++i) x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(first + i));
  if (!kernels::fake_quantize(format, Layout::vector(count), x.data(), y.data(), {})) return count;
  const auto expected = [&](std::size_t i) {
    return std::bit_cast<std::uint32_t>(round_to(*format.element, x[i], format.conversion));
  };
  std::uint64_t wrong = 0;
  for (std::size_t i = 0; i < count;) {
    const std::uint32_t want = expected(i);
    std::size_t step = 1, good = i;
    while (good + step < count && expected(good + step) == want) good += step, step *= 2;
    std::size_t bad = std::min(good + step, count);
    while (bad - good > 1 && !(bad == count && expected(count - 1) == want)) {
      const std::size_t middle = good + (bad - good) / 2;
      (expected(middle) == want ? good : bad) = middle;
    }
    for (; i < bad; ++i) wrong += std::bit_cast<std::uint32_t>(y[i]) != want;
  }
  return wrong;
}

/// Bits of value i of the block sweep, a permutation of all 32-bit words: the 32 values of a block are one sign and
/// mantissa under 32 neighbouring exponents, so that every mantissa meets every distance below the largest value of a
/// block.
std::uint32_t spread(std::uint32_t i) {
  const std::uint32_t exponent = i & 31, mantissa = i >> 5 & 0x7fffffu, top = i >> 28;
  return (top & 7u) << 28 | top >> 3 << 31 | exponent << 23 | mantissa;
}

/// Values first .. first + count of the block sweep that the kernel and the reference disagree on.
std::uint64_t wrong_blocks(const Format& format, std::uint32_t first, std::size_t count) {
  std::vector<float> x(count), y(count), expected(count);
  for (std::size_t i = 0; i < count; ++i) x[i] = std::bit_cast<float>(spread(static_cast<std::uint32_t>(first + i)));
  if (!kernels::fake_quantize(format, Layout::vector(count), x.data(), y.data(), {})) return count;
  fake_quantize_ref(format, Layout::vector(count), x.data(), expected.data());
  std::uint64_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i)
    wrong += std::bit_cast<std::uint32_t>(y[i]) != std::bit_cast<std::uint32_t>(expected[i]);
  return wrong;
}

using Chunk = std::uint64_t (*)(const Format&, std::uint32_t, std::size_t);

std::uint64_t wrong_of_all(const Format& format, Chunk wrong_of) {
  constexpr std::uint64_t kChunk = std::uint64_t{1}
                                   << 16;  // stays in the cache; never across the sign, nor Inf and NaN
  constexpr std::uint64_t kChunks = (std::uint64_t{1} << 32) / kChunk;
  const unsigned count = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::uint64_t> wrong(count, 0);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < count; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t c = t; c < kChunks; c += count)
        wrong[t] += wrong_of(format, static_cast<std::uint32_t>(c * kChunk), kChunk);
    });
  for (std::thread& thread : threads) thread.join();
  std::uint64_t sum = 0;
  for (const std::uint64_t w : wrong) sum += w;
  return sum;
}

void sweep(const std::string& name, Chunk wrong_of) {
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t wrong = wrong_of_all(parse_format(name), wrong_of);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{:<32} {:<6} 2^32 inputs  {} mismatches  {:.1f} s\n", name, kernels::target(), wrong, seconds);
  std::fflush(stdout);
  CHECK(wrong == 0);
}

/// Elements of at most 8 bits that block kernels know.
template <class Use>
void for_each_element(const Use& use) {
  for (const Element& e : elements()) {
    const bool grid = e.is_integer() || (e.is_float() && e.is_signed);
    if (grid && e.bits <= 8 && e.name.find("_full") == std::string_view::npos && wanted(e.name))
      use(std::string(e.name));
  }
}

}  // namespace

TEST_CASE("all 2^32 floats through the vector casts", "[.][exhaustive][sweep]") {
  if (kernels::target() == "ref") return;  // nothing to compare
  for_each_element([](const std::string& element) { sweep(element, wrong_casts); });
}

TEST_CASE("all 2^32 floats through the vector kernels of blocks", "[.][exhaustive][sweep]") {
  if (kernels::target() == "ref") return;
  for_each_element([](const std::string& element) { sweep(element + ":g32:s=e8m0:rule=floor", wrong_blocks); });
}
