// bench_kv [TOKENS] [ROUNDS] [LAYERS]: one decoding step of attention over caches of 3 KV heads of 64 with 3 query
// heads each, in all layers, so that the whole cache is read: float32, float16 and packed, beside a plain read of as
// many bytes; and what appending a token costs at several lengths. One thread, best of the rounds.
#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <string>

#include "sim/kv/half_codec.hpp"
#include "sim/kv/kv.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/rng.hpp"

namespace lowbit::kv {
namespace {

constexpr std::size_t kHeads = 3, kGroup = 3, kDim = 64;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Matrix random_rows(std::size_t rows, std::size_t columns) {
  Rng rng(1, "bench");
  Matrix out(rows, columns);
  for (std::size_t i = 0; i < rows * columns; ++i) out.data()[i] = static_cast<float>(rng.normal());
  return out;
}

LayerRules rules_of(const std::string& name) {
  const LayerShape shape{1, kDim};
  MethodOptions options;
  options.residual = 128;
  if (name == "float32") return {};
  if (name == "float16") {
    LayerRules rules;
    rules.k.codecs = rules.v.codecs = {std::make_shared<HalfCodec>()};
    return rules;
  }
  if (name.ends_with("4")) options.bits = 4;
  return make_method(name.substr(0, name.size() - 1), options)->rules(shape, nullptr);
}

std::unique_ptr<Cache> cache_of(const std::string& name, const Matrix& rows, std::size_t tokens) {
  auto cache = std::make_unique<Cache>(std::vector<LayerShape>{{1, kDim}},
                                       std::make_unique<WindowPolicy>(std::vector{rules_of(name)}, nullptr), true);
  std::vector<std::int64_t> positions(tokens);
  for (std::size_t t = 0; t < tokens; ++t) positions[t] = static_cast<std::int64_t>(t);
  const ConstRows some = rows.view().slice(0, tokens);
  cache->append({0, positions.data(), some, some, some, some});
  return cache;
}

// Seconds of reading `bytes` once, in lanes.
double read_seconds(std::size_t bytes, std::size_t rounds) {
  const std::vector<float> values(bytes / sizeof(float), 1.0f);
  double best = 1e30;
  for (std::size_t r = 0; r < rounds; ++r) {
    const double start = now();
    float lane[64] = {};
    for (std::size_t i = 0; i + 64 <= values.size(); i += 64)
      for (std::size_t j = 0; j < 64; ++j) lane[j] += values[i + j];
    volatile float keep = lane[0] + lane[33];
    (void)keep;
    best = std::min(best, now() - start);
  }
  return best;
}

void attention_lines(std::size_t tokens, std::size_t rounds, std::size_t layers) {
  const Matrix rows = random_rows(tokens, kDim), q = random_rows(kGroup, kDim);
  Matrix out(kGroup, kDim);
  fmt::print("{:13} {:>9} {:>9} {:>9} {:>9} {:>12}\n", "cache", "MB", "ms", "read ms", "ratio", "of float32");
  double reference = 0;
  for (const std::string name :
       {"float32", "float16", "kivi2", "kvlinc2", "kivi4", "kivi2 fused", "kvlinc2 fused", "kivi4 fused"}) {
    const bool fused = name.ends_with(" fused");
    const std::string method = name.substr(0, name.find(' '));
    std::deque<std::unique_ptr<Cache>> caches;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < layers * kHeads; ++i) {
      caches.push_back(cache_of(method, rows, tokens));
      bytes += caches.back()->bytes();
    }
    if (name == "float32") bytes *= 2;  // open slots are counted as float16 and lie in float32
    double best = 1e30;
    for (std::size_t r = 0; r < rounds; ++r) {
      const double start = now();
      for (const auto& cache : caches) {
        HeadReader reader = cache->reader(0, 0);
        if (fused) reader.math = KvMath::fused;
        attend(reader, q, static_cast<std::int64_t>(tokens), 0.125f, out);
      }
      best = std::min(best, now() - start);
    }
    if (reference == 0) reference = best;
    const double read = read_seconds(bytes, rounds);
    fmt::print("{:13} {:9.1f} {:9.2f} {:9.2f} {:9.2f} {:12.2f}\n", name, 1e-6 * static_cast<double>(bytes), 1e3 * best,
               1e3 * read, best / read, best / reference);
  }
}

void append_lines() {
  fmt::print("\nappending one token to one head (microseconds, mean over 256 tokens)\n{:10}", "cache");
  const std::size_t lengths[] = {1024, 8192, 32768};
  for (const std::size_t n : lengths) fmt::print(" {:>9}", n);
  fmt::print("\n");
  const Matrix rows = random_rows(32768 + 256, kDim);
  for (const char* name : {"float32", "kivi2", "kvlinc2", "quarot2"}) {
    fmt::print("{:10}", name);
    for (const std::size_t n : lengths) {
      const auto cache = cache_of(name, rows, n);
      const double start = now();
      for (std::size_t t = n; t < n + 256; ++t) {
        const auto position = static_cast<std::int64_t>(t);
        const ConstRows one = rows.view().slice(t, 1);
        cache->append({0, &position, one, one, one, one});
      }
      fmt::print(" {:9.2f}", 1e6 * (now() - start) / 256);
    }
    fmt::print("\n");
  }
}

}  // namespace
}  // namespace lowbit::kv

int main(int argc, char** argv) {
  const auto number = [&](int i, std::size_t fallback) {
    return argc > i ? static_cast<std::size_t>(std::stoul(argv[i])) : fallback;
  };
  lowbit::kv::attention_lines(number(1, 8192), number(2, 5), number(3, 30));
  lowbit::kv::append_lines();
}
