// bench_kv: one decoding step of attention over a cache of 3 KV heads of 64 with 3 query
// heads each, in all layers, so that the whole cache is read: float32, float16 and packed, with exact and fused sums,
// on one and two threads, beside the fastest plain read of as many bytes. And what appending a token costs at several
// lengths.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <string>

#include "experiments/core/command_line.hpp"
#include "sim/kv/half_codec.hpp"
#include "sim/kv/kv.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/rng.hpp"
#include "sim/threads.hpp"
#include "tests/bench/support/buffers.hpp"
#include "tests/bench/support/traffic.hpp"

namespace lowbit::kv {
namespace {

constexpr LayerShape kShape{3, 64};
constexpr std::size_t kGroup = 3;  // query heads of a KV head

/// Seconds of the fastest of `rounds` runs.
template <class Job>
double best_of(std::size_t rounds, Job job) {
  double best = 1e30;
  for (std::size_t r = 0; r < rounds; ++r) {
    const auto start = std::chrono::steady_clock::now();
    job();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

Matrix random_rows(std::size_t rows, std::size_t columns) {
  Rng rng(1, "bench");
  Matrix out(rows, columns);
  for (std::size_t i = 0; i < rows * columns; ++i) out.data()[i] = static_cast<float>(rng.normal());
  return out;
}

/// Size of the largest cache, as the system names it.
std::string last_cache() {
  std::string size = "not known", line;
  for (int i = 0; i < 5; ++i)
    if (std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", i)); std::getline(file, line))
      size = line;
  return size;
}

/// "float32", "float16", or a method and its bits ("kivi2").
LayerRules rules_of(const std::string& name) {
  if (name == "float32") return {};
  if (name == "float16") {
    LayerRules rules;
    rules.k.codecs = rules.v.codecs = {std::make_shared<HalfCodec>()};
    return rules;
  }
  MethodOptions options;
  options.bits = name.back() - '0';
  return make_method(name.substr(0, name.size() - 1), options)->rules(kShape, nullptr);
}

void append(Cache& cache, std::size_t layers, const Matrix& rows, std::size_t first, std::size_t count) {
  std::vector<std::int64_t> positions(count);
  std::iota(positions.begin(), positions.end(), static_cast<std::int64_t>(first));
  const ConstRows own = rows.view().slice(first, count);
  for (std::size_t layer = 0; layer < layers; ++layer)
    cache.append({static_cast<int>(layer), positions.data(), own, own, own, own});
}

std::unique_ptr<Cache> cache_of(const std::string& name, std::size_t layers, const Matrix& rows, std::size_t tokens) {
  auto cache = std::make_unique<Cache>(
      std::vector(layers, kShape), std::make_unique<WindowPolicy>(std::vector(layers, rules_of(name)), nullptr), true);
  append(*cache, layers, rows, 0, tokens);
  return cache;
}

/// Bytes that lie in memory: open slots are counted as float16 and held in float32.
std::size_t bytes_in_memory(const Cache& cache) {
  const Bytes held = cache.held();
  return held.total() + held.tail;
}

/// Seconds of reading `bytes` once, each thread its share: the fastest of all ways that the benchmarks know.
double read_seconds(std::size_t bytes, std::size_t rounds, Threads& threads) {
  constexpr std::size_t kParts = 90, kStep = 256;
  const std::size_t part = bytes / sizeof(float) / kParts / kStep * kStep;
  if (part == 0) return NAN;
  bench::Buffer buffer(kParts * part * sizeof(float), bench::Pages::plain);
  float* values = buffer.floats();
  std::vector<float> sums(kParts);
  double best = 1e30;
  for (const bench::Traffic& traffic : bench::variants(bench::Pattern::read))
    best = std::min(best, best_of(rounds, [&] {
                      threads.parallel_for(kParts, [&](std::size_t p) {
                        sums[p] = bench::run_traffic(traffic, values + p * part, nullptr, part);
                      });
                    }));
  volatile float keep = sums[0];
  (void)keep;
  return best;
}

/// One step: every head of every layer, its query heads together, or one after the other.
void step(const Cache& cache, std::size_t layers, const Matrix& q, KvMath math, bool shared, Threads& threads) {
  threads.parallel_for(layers * kShape.kv_heads, [&](std::size_t i) {
    HeadReader reader = cache.reader(static_cast<int>(i / kShape.kv_heads), i % kShape.kv_heads);
    reader.math = math;
    Matrix out(kGroup, kShape.head_dim);
    const std::size_t rows = shared ? kGroup : 1;
    for (std::size_t g = 0; g < kGroup; g += rows)
      attend(reader, q.view().slice(g, rows), cache.next_position(), 0.125f, out.view().slice(g, rows));
  });
}

struct Way {
  const char* name;
  KvMath math = KvMath::exact;
  bool shared = true;
};
constexpr Way kExact{"exact"}, kFused{"fused", KvMath::fused},
    kUnshared{"exact, a query head at a time", KvMath::exact, false};

void attention_lines(std::size_t tokens, std::size_t rounds, std::size_t layers) {
  const Matrix rows = random_rows(tokens, kShape.kv_heads * kShape.head_dim), q = random_rows(kGroup, kShape.head_dim);
  fmt::print("attention of a step, {} layers, {} tokens; last cache of the processor: {}\n", layers, tokens,
             last_cache());
  fmt::print("{:8} {:30} {:>7} {:>8} {:>8} {:>8} {:>10} {:>11} {:>11}\n", "cache", "sums", "threads", "MB", "ms",
             "read ms", "times read", "of float32", "of float16");
  double float32[2] = {}, float16[2] = {};
  for (const std::string name : {"float32", "float16", "kivi2", "kvlinc2", "kivi4"}) {
    const auto cache = cache_of(name, layers, rows, tokens);
    const std::size_t bytes = bytes_in_memory(*cache);
    std::vector<Way> ways{kExact};
    if (name.back() == '2' && name != "float32") ways.push_back(kFused), ways.push_back(kUnshared);
    if (name == "kivi4") ways.push_back(kFused);
    for (const Way& way : ways)
      for (const std::size_t n : {1, 2}) {
        Threads threads(n);
        const double own = best_of(rounds, [&] { step(*cache, layers, q, way.math, way.shared, threads); });
        const double read = read_seconds(bytes, rounds, threads);
        if (name == "float32") float32[n - 1] = own;
        if (name == "float16") float16[n - 1] = own;
        fmt::print("{:8} {:30} {:7} {:8.1f} {:8.2f} {:8.2f} {:10.2f} {:11.2f} {:11.2f}\n", name, way.name, n,
                   1e-6 * static_cast<double>(bytes), 1e3 * own, 1e3 * read, own / read, own / float32[n - 1],
                   float16[n - 1] > 0 ? own / float16[n - 1] : 0.0);
      }
  }
}

void append_lines(std::size_t layers) {
  constexpr std::size_t kLengths[] = {1024, 2048, 4096, 8192}, kAppended = 256;
  fmt::print("\nappending a token to {} layers of {} heads: microseconds a head, mean over {} tokens\n{:10}", layers,
             kShape.kv_heads, kAppended, "cache");
  for (const std::size_t n : kLengths) fmt::print(" {:>9}", n);
  fmt::print("\n");
  const Matrix rows = random_rows(kLengths[3] + kAppended + 1, kShape.kv_heads * kShape.head_dim);
  for (const char* name : {"float32", "float16", "kivi2", "kvlinc2", "quarot2"}) {
    fmt::print("{:10}", name);
    for (const std::size_t n : kLengths) {
      const auto cache = cache_of(name, layers, rows, n);
      append(*cache, layers, rows, n, 1);  // lets full vectors double, which costs a constant a token in the mean
      const double seconds = best_of(1, [&] {
        for (std::size_t t = n + 1; t <= n + kAppended; ++t) append(*cache, layers, rows, t, 1);
      });
      fmt::print(" {:9.2f}", 1e6 * seconds / static_cast<double>(kAppended * layers * kShape.kv_heads));
      std::fflush(stdout);
    }
    fmt::print("\n");
  }
}

int run(const std::vector<std::string>& arguments) {
  CommandLine line("bench_kv", "Speed of attention over caches of keys and values, and of appending to them.");
  line.value("tokens", "N", "tokens in the cache", "8192")
      .value("rounds", "N", "runs of each line, of which the fastest counts", "5")
      .value("layers", "N", "layers, each with a cache of its own", "30");
  if (!line.parse(arguments)) return 0;
  const auto number = [&](const char* name, std::int64_t most) {
    return static_cast<std::size_t>(line.integer(name, 1, most));
  };
  attention_lines(number("tokens", 1 << 20), number("rounds", 10000), number("layers", 1000));
  append_lines(number("layers", 1000));
  return 0;
}

}  // namespace
}  // namespace lowbit::kv

int main(int argc, char** argv) {
  return lowbit::guarded_main("bench_kv", lowbit::kv::run, {argv + 1, argv + argc});
}
