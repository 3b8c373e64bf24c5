// All 2^32 floats through every element, rounding and overflow policy. Hidden: run with test_formats "[exhaustive]".
// LOWBIT_ELEMENTS=e4m3,e2m1 takes those elements alone.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <optional>
#include <thread>

#include "formats/codec.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/element_oracle.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

constexpr std::uint64_t kFloats = std::uint64_t{1} << 32;

float from_bits(std::uint32_t b) {
  return std::bit_cast<float>(b);
}

/// fp32 has no table that fits: a float is its own code, NaN becomes the canonical one, Inf the maximum under sat.
std::uint32_t fp32_code(std::uint32_t b, Overflow overflow) {
  if ((b & 0x7FFFFFFF) > 0x7F800000) return 0x7FC00000;
  if ((b & 0x7FFFFFFF) == 0x7F800000 && overflow == Overflow::sat) return b - 1;
  return b;
}

/// Code that the oracle gives the float of these bits.
std::uint32_t wanted_code(const ElementOracle* oracle, Overflow overflow, std::uint64_t bits) {
  const auto b = static_cast<std::uint32_t>(bits);
  if (!oracle) return fp32_code(b, overflow);
  const float x = from_bits(b);
  return std::isnan(x) ? oracle->nan_code() : (*oracle)(x);
}

/// End of the run of equal wanted codes that starts at `first`. Codes are monotone along the floats of one sign and NaNs
/// lie behind them, so equal codes at both ends of a stretch without NaN mean equal codes inside: doubling, then bisection.
std::uint64_t run_end(const ElementOracle* oracle, Overflow overflow, std::uint64_t first, std::uint64_t last,
                      std::uint32_t code) {
  const bool nan = std::isnan(from_bits(static_cast<std::uint32_t>(first)));
  const auto same = [&](std::uint64_t i) {
    return std::isnan(from_bits(static_cast<std::uint32_t>(i))) == nan && wanted_code(oracle, overflow, i) == code;
  };
  std::uint64_t good = first, step = 1;
  while (good + step < last && same(good + step)) good += step, step *= 2;
  std::uint64_t bad = std::min(good + step, last);
  if (bad == last && same(last - 1)) return last;
  while (bad - good > 1) {
    const std::uint64_t middle = good + (bad - good) / 2;
    (same(middle) ? good : bad) = middle;
  }
  return bad;
}

/// Mismatches among the bit patterns first .. last - 1. The oracle is asked at the ends of runs, encode for every value.
std::uint64_t mismatches(const Element& e, Conversion conversion, const ElementOracle* oracle, std::uint64_t first,
                         std::uint64_t last) {
  std::uint64_t wrong = 0;
  for (std::uint64_t i = first; i < last;) {
    const std::uint32_t want = wanted_code(oracle, conversion.overflow, i);
    const std::uint64_t end = run_end(oracle, conversion.overflow, i, last, want);
    for (; i < end; ++i) wrong += encode(e, from_bits(static_cast<std::uint32_t>(i)), conversion) != want;
  }
  return wrong;
}

std::uint64_t mismatches_of_all(const Element& e, Conversion conversion, const ElementOracle* oracle) {
  constexpr std::uint64_t kChunk = std::uint64_t{1} << 24;  // never across the sign: neighbours stay neighbours
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::uint64_t> wrong(threads, 0);
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      for (std::uint64_t chunk = t; chunk < kFloats / kChunk; chunk += threads) {
        wrong[t] += mismatches(e, conversion, oracle, chunk * kChunk, (chunk + 1) * kChunk);
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
  std::uint64_t sum = 0;
  for (const std::uint64_t w : wrong) sum += w;
  return sum;
}

bool wanted(std::string_view name) {
  const char* list = std::getenv("LOWBIT_ELEMENTS");
  return !list || fmt::format(",{},", list).find(fmt::format(",{},", name)) != std::string::npos;
}

}  // namespace

TEST_CASE("all 2^32 floats through every element, rounding and overflow", "[.][exhaustive]") {
  constexpr const char* kRoundings[] = {"rne", "rna", "rtz", "rtsm"};
  for (const Element& e : elements()) {
    if (!wanted(e.name)) continue;
    for (const Overflow overflow : {Overflow::sat, Overflow::ovf}) {
      if (overflow == Overflow::ovf && !e.has_nan()) continue;  // always saturates: not distinct
      for (int r = 0; r < 4; ++r) {
        const Conversion conversion{static_cast<Rounding>(r), overflow};
        const auto start = std::chrono::steady_clock::now();
        std::optional<ElementOracle> oracle;
        if (e.name != "fp32") oracle.emplace(std::string(e.name), conversion.rounding, overflow);
        const std::uint64_t wrong = mismatches_of_all(e, conversion, oracle ? &*oracle : nullptr);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        fmt::print("{:<18} {:<4} {}  {} inputs  {} mismatches  {:.1f} s\n", e.name, kRoundings[r],
                   overflow == Overflow::sat ? "sat" : "ovf", kFloats, wrong, seconds);
        std::fflush(stdout);
        CHECK(wrong == 0);
      }
    }
  }
}
