// bench_model: speed of the language model beside the limits of the machine, measured in
// turn in one run.
//
// Each line is the best of the rounds. `cpu` counts the processor time of all threads instead of the clock: on a
// machine that others use, its ratios are the ones to read. Prefill alternates with sgemm, and decoding with its limit,
// token by token: the rate of memory changes from one second to the next, and by half where the processors move.
#include <cblas.h>
#include <fmt/format.h>
#ifdef LOWBIT_HAVE_DNNL
#include <dnnl.h>
#include <omp.h>
#endif
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "experiments/core/command_line.hpp"
#include "sim/model/backward.hpp"
#include "sim/model/quantised_sites.hpp"
#include "sim/rng.hpp"
#include "tests/bench/support/traffic.hpp"

namespace lowbit::model {
namespace {

constexpr std::size_t kTokens = 512, kPrefills = 15;
// Decoding: from nothing, as the speeds of other programs are told (llama-bench's tg128), and at the end of a text,
// where keys and values are read besides the weights.
constexpr std::size_t kDecoded = 128, kDecodedLast = 64;
// Pairs whose limit strays further from the median than this do not count.
constexpr double kStray = 0.15;
namespace bench = lowbit::bench;

double seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Best {
  double wall = 1e30, cpu = 1e30;
  std::vector<double> walls;
};
std::map<std::string, Best> best;

template <class Work>
void measure(const std::string& name, Work work) {
  const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  work();
  Best& b = best[name];
  b.walls.push_back(seconds(CLOCK_MONOTONIC) - wall);
  b.wall = std::min(b.wall, b.walls.back());
  b.cpu = std::min(b.cpu, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

// One square product in each library, by its own threading.
void sgemm(std::size_t n, std::size_t threads) {
  static std::vector<float> a, b, c;
  a.resize(n * n, 0.5f), b.resize(n * n, 0.25f), c.resize(n * n);
  const int m = static_cast<int>(n), count = static_cast<int>(threads);
  // the threads of a library look for work for a while before they sleep, and would take a processor from what follows
  const auto let_sleep = [] {
    const timespec pause{0, 100'000'000};
    nanosleep(&pause, nullptr);
  };
  openblas_set_num_threads(count);
  measure(fmt::format("OpenBLAS {}", n), [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, m, m, 1, a.data(), m, b.data(), m, 0, c.data(), m);
  });
  openblas_set_num_threads(1);
  let_sleep();
#ifdef LOWBIT_HAVE_DNNL
  omp_set_num_threads(count);
  measure(fmt::format("oneDNN {}", n),
          [&] { dnnl_sgemm('N', 'T', m, m, m, 1, a.data(), m, b.data(), m, 0, c.data(), m); });
  omp_set_num_threads(1);
  let_sleep();
#endif
}

// Streaming read of all large parameters in every way that is known here: the fastest is the limit of decoding.
struct Reading {
  bench::Traffic traffic;
  std::size_t piece;  // values that a thread takes at a time
  std::string name() const { return fmt::format("read {}, pieces of {} KiB", traffic.name(), piece >> 8); }
};

std::vector<Reading> readings() {
  std::vector<Reading> all;
  for (const auto& traffic : bench::variants(bench::Pattern::read))
    for (const std::size_t piece : {std::size_t{1} << 16, std::size_t{1} << 20}) all.push_back({traffic, piece});
  return all;
}

struct Piece {
  float* data;
  std::size_t size;
};

std::vector<Piece> pieces(const Model& model, std::size_t size, double& bytes) {
  std::vector<Piece> all;
  bytes = 0;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    if (model.data(i) == nullptr || (i == model.lm_head() && model.data(i) == model.data(model.embedding()))) continue;
    const std::size_t n = model.parameters()[i].rows * model.parameters()[i].columns / 256 * 256;
    for (std::size_t first = 0; first < n; first += size) {
      all.push_back({const_cast<float*>(model.data(i)) + first, std::min(size, n - first)});
      bytes += 4 * static_cast<double>(all.back().size);
    }
  }
  return all;
}

void read_all(const Reading& reading, const std::vector<Piece>& all, Threads& threads) {
  std::vector<float> sums(all.size());
  threads.parallel_for(all.size(), [&](std::size_t i) {
    sums[i] = bench::run_traffic(reading.traffic, all[i].data, nullptr, all[i].size);
  });
  volatile float keep = sums[0];
  (void)keep;
}

void stream_reads(const Model& model, Threads& threads) {
  for (const Reading& reading : readings()) {
    double bytes = 0;
    const auto all = pieces(model, reading.piece, bytes);
    measure(reading.name(), [&] { read_all(reading, all, threads); });
  }
}

// Fastest by the clock.
Reading fastest_reading() {
  std::vector<Reading> all = readings();
  return *std::min_element(all.begin(), all.end(), [](const Reading& a, const Reading& b) {
    return best[a.name()].wall < best[b.name()].wall;
  });
}

void prefill(const std::string& name, const Hooks& hooks, std::span<const std::int32_t> tokens, Threads& threads) {
  measure(name, [&] {
    const TokenSpan span{tokens, nullptr};
    const PassResult pass = forward(hooks, {&span, 1}, threads);
    for_each_logits(hooks, pass, threads, [](std::size_t, Rows) {});
  });
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

// Tokens [first, first + count) one after the other, each after a read of all weights; those before are in the cache.
void decode(const Model& model, const Hooks& hooks, std::span<const std::int32_t> tokens, std::size_t first,
            std::size_t count, Threads& threads) {
  const Reading reading = fastest_reading();
  double bytes = 0;
  const auto all = pieces(model, reading.piece, bytes);
  const auto cache = hooks.make_cache();
  if (first > 0) {
    const TokenSpan prompt{tokens.first(first), cache.get()};
    forward(hooks, {&prompt, 1}, threads);
  }
  std::vector<double> read, decoded, ratio;
  for (std::size_t i = 0; i < count; ++i) {
    const double start = seconds(CLOCK_MONOTONIC);
    read_all(reading, all, threads);
    const double between = seconds(CLOCK_MONOTONIC);
    const TokenSpan next{tokens.subspan(first + i, 1), cache.get()};
    last_logits(hooks, forward(hooks, {&next, 1}, threads), threads);
    read.push_back(between - start);
    decoded.push_back(seconds(CLOCK_MONOTONIC) - between);
  }
  const double usual = quantile(read, 0.5);
  std::vector<double> reads, tokens_taken;
  for (std::size_t i = 0; i < count; ++i)
    if (std::abs(read[i] / usual - 1) <= kStray) {
      reads.push_back(read[i]);
      tokens_taken.push_back(decoded[i]);
      ratio.push_back(read[i] / decoded[i]);
    }
  // keys and values that a token reads: the cache grows by a token at a time, so that half of the new ones count
  const double kept =
      static_cast<double>(cache->bytes()) * (1 - static_cast<double>(count) / (2 * static_cast<double>(first + count)));
  fmt::print("decoding {} tokens after {}; a token reads {:.0f} MB of weights, {:.0f} of keys and values\n", count,
             first, 1e-6 * bytes, 1e-6 * kept);
  fmt::print("{:<34}{:>12.3f}\n", "  read of all weights, GB/s", 1e-9 * bytes / quantile(reads, 0.5));
  fmt::print("{:<34}{:>12.3f}\n", "  tokens/s", 1 / quantile(tokens_taken, 0.5));
  fmt::print("{:<34}{:>12.3f}   quartiles {:.3f} {:.3f}, {} pairs ({} dropped)\n",
             first == 0 ? "  over the read (goal 0.9)" : "  over the read", quantile(ratio, 0.5), quantile(ratio, 0.25),
             quantile(ratio, 0.75), ratio.size(), count - ratio.size());
  fmt::print("{:<34}{:>12.3f}\n", "  best token over best read",
             *std::min_element(read.begin(), read.end()) / *std::min_element(decoded.begin(), decoded.end()));
  fmt::print("the fastest read was: {}\n", reading.name());
}

double linear_weights(const Model& model) {
  double total = 0;
  for (const Parameter& p : model.parameters())
    if (p.linear >= 0) total += static_cast<double>(p.rows * p.columns);
  return total;
}

void report(const Model& model) {
  const Config& c = model.config();
  const double pairs = kTokens * (kTokens + 1) / 2.0;
  const double flops =
      2 * kTokens * linear_weights(model) + 4 * pairs * static_cast<double>(c.layers * c.heads * c.head_dim);
  const Best &prefill = best["prefill"], &plain = best["plain"];  // in pairs; in the rounds, beside what is over it
  const auto gflops = [](double f, double t) { return 1e-9 * f / t; };
  double peak_wall = 0, peak_cpu = 0;
  fmt::print("{:<34}{:>12}{:>12}\n", "", "clock", "cpu");
  const auto line = [](const char* name, double wall, double cpu) {
    fmt::print("{:<34}{:>12.3f}{:>12.3f}\n", name, wall, cpu);
  };
  std::string fastest;  // at 4096
  for (const char* library : {"OpenBLAS", "oneDNN"})
    for (const std::size_t n : {2048, 4096}) {
      const std::string name = fmt::format("{} {}", library, n);
      if (!best.contains(name)) continue;
      const Best& b = best[name];
      const double f = 2.0 * static_cast<double>(n * n * n);
      line(fmt::format("sgemm {}, GFLOP/s", name).c_str(), gflops(f, b.wall), gflops(f, b.cpu));
      peak_wall = std::max(peak_wall, gflops(f, b.wall));
      peak_cpu = std::max(peak_cpu, gflops(f, b.cpu));
      if (n == 4096 && (fastest.empty() || b.wall < best[fastest].wall)) fastest = name;
    }
  line("prefill 512, s", prefill.wall, prefill.cpu);
  line("prefill 512, tokens/s", kTokens / prefill.wall, kTokens / prefill.cpu);
  line("prefill 512, GFLOP/s", gflops(flops, prefill.wall), gflops(flops, prefill.cpu));
  line("  over the fastest (goal 0.8)", gflops(flops, prefill.wall) / peak_wall, gflops(flops, prefill.cpu) / peak_cpu);
  std::vector<double> pair_ratio;
  const std::vector<double>& products = best[fastest].walls;
  for (std::size_t i = 0; i < kPrefills; ++i)
    pair_ratio.push_back(flops / prefill.walls[i] * products[i] / (2 * std::pow(4096.0, 3)));
  fmt::print("{:<34}{:>12.3f}   quartiles {:.3f} {:.3f}, {} pairs\n", "  over " + fastest + ", pair by pair",
             quantile(pair_ratio, 0.5), quantile(pair_ratio, 0.25), quantile(pair_ratio, 0.75), kPrefills);
  for (const char* name : {"mxfp4", "nvfp4", "mxint8 had:32"})
    line(fmt::format("  {} over plain (goal 1.25)", name).c_str(), best[name].wall / plain.wall,
         best[name].cpu / plain.cpu);
  line("backward over forward (goal 3)", best["backward"].wall / plain.wall, best["backward"].cpu / plain.cpu);
  line("  with weight gradients", best["all gradients"].wall / plain.wall, best["all gradients"].cpu / plain.cpu);
}

void measure_all(const std::string& name, std::int64_t rounds, std::size_t thread_count) {
  Threads threads(thread_count);
  const double start = seconds(CLOCK_MONOTONIC);
  Model model = Model::load(name, threads, Weights::mapped);
  const Hooks plain(model);
  Rng rng(1, "bench");
  std::vector<std::int32_t> tokens(kTokens);
  for (auto& token : tokens) token = static_cast<std::int32_t>(rng.below(model.config().vocabulary));
  const TokenSpan first{std::span<const std::int32_t>(tokens).first(8), nullptr};
  last_logits(plain, forward(plain, {&first, 1}, threads), threads);
  const double first_token = seconds(CLOCK_MONOTONIC);
  fmt::print("{} threads; first token after {:.2f} s (goal 1)\n", threads.count(), first_token - start);
  model.copy_weights(threads);
  fmt::print("weights copied: {:.2f} s\n", seconds(CLOCK_MONOTONIC) - first_token);

  std::map<std::string, Hooks> quantised;
  for (const char* format : {"mxfp4", "nvfp4", "mxint8 had:32"}) {
    SiteOptions options;
    const std::string text = format;
    options.weights = options.activations = text.substr(0, text.find(' '));
    if (text.find(' ') != std::string::npos) options.transform = text.substr(text.find(' ') + 1);
    const double before = seconds(CLOCK_MONOTONIC);
    Hooks& hooks = quantised.emplace(text, Hooks(model)).first->second;
    attach(hooks, options, threads);
    fmt::print("weights to {}: {:.2f} s\n", text, seconds(CLOCK_MONOTONIC) - before);
  }
  Hooks watched(model), all(model);
  watched.observe("model.layers.*.output_gradient", [](const Tensor&, ConstRows) {});
  all.observe("model.layers.*_gradient", [](const Tensor&, ConstRows) {});
  const TokenSpan whole{tokens, nullptr};
  Tape tape;
  for (std::size_t i = 0; i < kPrefills; ++i) {
    sgemm(4096, threads.count());
    prefill("prefill", plain, tokens, threads);
  }
  for (std::int64_t round = 0; round < rounds; ++round) {
    sgemm(2048, threads.count());
    prefill("plain", plain, tokens, threads);
    for (const auto& [format, hooks] : quantised) prefill(format, hooks, tokens, threads);
    sgemm(4096, threads.count());
    measure("backward", [&] { backward(watched, {&whole, 1}, threads, tape); });
    measure("all gradients", [&] { backward(all, {&whole, 1}, threads, tape); });
    stream_reads(model, threads);
  }
  report(model);
  decode(model, plain, tokens, 0, kDecoded, threads);
  decode(model, plain, tokens, kTokens - kDecodedLast, kDecodedLast, threads);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("peak memory {} MB\n", usage.ru_maxrss / 1024);
}

int run(const std::vector<std::string>& arguments) {
  CommandLine line("bench_model", "Speed of the language model beside the limits of the machine.");
  line.words("[MODEL]", "folder, or name of a model in the cache (default smollm2-135m)", 0, 1)
      .value("rounds", "N", "runs of each line, of which the fastest counts", "3")
      .value("threads", "N", "worker threads; 0: the CPUs that this process may use", "0");
  if (!line.parse(arguments)) return 0;
  measure_all(line.words().empty() ? "smollm2-135m" : line.words().front(), line.integer("rounds", 1, 10000),
              static_cast<std::size_t>(line.integer("threads", 0, 1024)));
  return 0;
}

}  // namespace
}  // namespace lowbit::model

int main(int argc, char** argv) {
  return lowbit::guarded_main("bench_model", lowbit::model::run, {argv + 1, argv + argc});
}
