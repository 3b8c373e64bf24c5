#include "tests/bench/support/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fstream>

#include <unistd.h>

#include "sim/rng.hpp"

namespace lowbit::bench {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 18;         // values: 1 MiB
constexpr std::size_t kCachedBytes = std::size_t{64} << 20;  // traffic of one timing in the cache, a thread
constexpr double kStray = 0.15, kForeign = 0.25;
volatile float sink;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> sample) {
  return quartiles(std::move(sample)).median;
}

// Seconds that all processors were busy, less this process's own, since the start of the machine.
double foreign_seconds() {
  std::ifstream file("/proc/stat");
  std::string word;
  double user = 0, nice = 0, system = 0;
  file >> word >> user >> nice >> system;
  timespec own{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  return (user + nice + system) / static_cast<double>(::sysconf(_SC_CLK_TCK)) - static_cast<double>(own.tv_sec) -
         1e-9 * static_cast<double>(own.tv_nsec);
}

struct Pair {
  double limit, item, copy, foreign;
};

// The pairs that count: those whose limit is near the median limit and that were not disturbed.
std::vector<Pair> undisturbed(const std::vector<Pair>& pairs) {
  std::vector<double> limits;
  for (const Pair& p : pairs) limits.push_back(p.limit);
  const double centre = median(limits);
  std::vector<Pair> steady, kept;
  for (const Pair& p : pairs)
    if (std::fabs(p.limit / centre - 1) <= kStray) steady.push_back(p);
  for (const Pair& p : steady)
    if (p.foreign <= kForeign) kept.push_back(p);
  return kept.empty() ? steady : kept;
}

std::string memory_name(const Setting& s) {
  return s.cached ? "L2" : fmt::format("{} MiB", s.values * sizeof(float) >> 20);
}

std::string key(const Setting& s) {
  return fmt::format("{} {} {}", memory_name(s), s.pages == Pages::huge ? "huge" : "plain", s.cached ? s.threads : 0);
}

Phases traffic_phases(const std::vector<Traffic>& passes, float* x, float* y) {
  Phases phases;
  for (const Traffic& pass : passes)
    phases.push_back(
        [pass, x, y](std::size_t first, std::size_t n) { sink = run_traffic(pass, x + first, y + first, n); });
  return phases;
}

}  // namespace

Quartiles quartiles(std::vector<double> sample) {
  if (sample.empty()) return {};
  std::sort(sample.begin(), sample.end());
  const auto at = [&](double p) {
    const double position = p * static_cast<double>(sample.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const double above = sample[std::min(below + 1, sample.size() - 1)];
    return sample[below] + (above - sample[below]) * (position - static_cast<double>(below));
  };
  return {at(0.25), at(0.5), at(0.75)};
}

void fill_gaussian(float* x, std::size_t n) {
  static const std::vector<float> drawn = [] {
    std::vector<float> values(std::size_t{1} << 20);
    Rng rng(1, "bench");
    for (float& v : values) v = static_cast<float>(rng.normal());
    return values;
  }();
  for (std::size_t first = 0; first < n; first += drawn.size())
    std::copy_n(drawn.begin(), std::min(drawn.size(), n - first), x + first);
}

Bench::Memory& Bench::memory(const Setting& setting) {
  auto& slot = memory_[key(setting)];
  const std::size_t bytes = setting.values * sizeof(float) + (std::size_t{1} << 16);  // prefetches reach beyond the end
  if (!slot) slot.reset(new Memory{{bytes, setting.pages}, {bytes, setting.pages}});
  return *slot;
}

Threads& Bench::threads(std::size_t count) {
  auto& pool = pools_[count];
  if (!pool) pool = std::make_unique<Threads>(count);
  return *pool;
}

double Bench::time(const Phases& phases, const Setting& s, bool in_pieces, bool whole) {
  Threads& pool = threads(s.threads);
  const std::size_t part = s.values / s.threads / 4096 * 4096;
  const auto bounds = [&](std::size_t i, std::size_t size) {
    return i + 1 == s.threads && !in_pieces ? s.values - i * size : size;
  };
  const double start = now();
  if (s.cached) {
    const std::size_t repeats = std::max<std::size_t>(1, kCachedBytes / (part * 8));
    pool.parallel_for(s.threads, [&](std::size_t i) {
      for (std::size_t r = 0; r < repeats; ++r)
        for (const Phase& phase : phases) phase(i * part, part);
    });
    return (now() - start) / static_cast<double>(repeats);
  }
  for (const Phase& phase : phases) {
    if (whole) {
      phase(0, s.values);
      continue;
    }
    const std::size_t size = in_pieces ? kPiece : part, tasks = in_pieces ? s.values / kPiece : s.threads;
    pool.parallel_for(tasks, [&](std::size_t i) { phase(i * size, bounds(i, size)); });
  }
  return now() - start;
}

Limit Bench::fastest(Pattern pattern, const Setting& s) {
  Memory& m = memory(s);
  Traffic copy{Pattern::copy, 0, false, false, true};
  std::vector<double> reference;
  std::vector<Tried> rows;
  std::vector<Limit> candidates;
  std::vector<double> best;
  const double bytes = static_cast<double>(s.values) * sizeof(float) *
                       (pattern == Pattern::copy || pattern == Pattern::in_place ? 2 : 1);
  for (const Traffic& variant : variants(pattern))
    for (const bool pieces : {false, true}) {
      if (pieces && (s.threads == 1 || s.cached)) continue;
      std::vector<double> times;
      for (int i = 0; i < 4; ++i) {
        reference.push_back(time(traffic_phases({copy}, m.x.floats(), m.y.floats()), s, false));
        times.push_back(time(traffic_phases({variant}, m.x.floats(), m.y.floats()), s, pieces));
      }
      best.push_back(median(times));
      candidates.push_back({{variant}, variant.name() + (pieces ? ", 1 MiB pieces" : ""), pieces});
    }
  const double memcpy_speed = 8.0 * static_cast<double>(s.values) / median(reference);
  const std::size_t at = static_cast<std::size_t>(std::min_element(best.begin(), best.end()) - best.begin());
  for (std::size_t i = 0; i < best.size(); ++i)
    tried_.push_back({to_string(pattern), candidates[i].name, s.pages == Pages::huge ? "huge" : "plain", memory_name(s),
                      s.threads, 1e-9 * bytes / best[i], bytes / best[i] / memcpy_speed, i == at});
  return candidates[at];
}

const Limit& Bench::limit(Pattern pattern, const Setting& s) {
  const std::string name = fmt::format("{} {} {}", key(s), s.threads, to_string(pattern));
  if (const auto found = limits_.find(name); found != limits_.end()) return found->second;
  const bool copies = pattern == Pattern::two_pass, twice = copies || pattern == Pattern::two_pass_in_place;
  if (!twice) return limits_[name] = fastest(pattern, s);
  const Limit first = limit(Pattern::read, s), second = limit(copies ? Pattern::copy : Pattern::in_place, s);
  return limits_[name] = {
             {first.passes[0], second.passes[0]},
             "read (" + first.name + "), then " + to_string(second.passes[0].pattern) + " (" + second.name + ")",
             second.in_pieces};
}

Row Bench::run(const Case& item, const Setting& s) {
  Memory& m = memory(s);
  float *x = m.x.floats(), *y = m.y.floats();
  fill_gaussian(x, s.values);
  const Limit limit = item.baseline ? Limit{{}, item.baseline_name, false} : this->limit(item.pattern, s);
  const Phases work = item.prepare(x, y, s),
               best = item.baseline ? item.baseline(x, y, s) : traffic_phases(limit.passes, x, y),
               copy = traffic_phases({{Pattern::copy, 0, false, false, true}}, x, y);
  fill_gaussian(x, s.values);
  time(work, s, false, item.whole);  // warms up
  std::vector<Pair> pairs;
  const double begin = now(), foreign_begin = foreign_seconds();
  for (std::size_t i = 0; i < 6 * pairs_ && (i < pairs_ || undisturbed(pairs).size() < pairs_); ++i) {
    const double start = now(), foreign = foreign_seconds();
    Pair p{};
    if (i % 2 == 0) p.limit = time(best, s, limit.in_pieces, item.whole && item.baseline);
    p.item = time(work, s, false, item.whole);
    if (i % 2 != 0) p.limit = time(best, s, limit.in_pieces, item.whole && item.baseline);
    p.copy = time(copy, s, false);
    p.foreign = (foreign_seconds() - foreign) / (now() - start);
    pairs.push_back(p);
  }
  Row row;
  row.name = item.name;
  row.format = item.format;
  row.place = item.place;
  row.pages = s.pages == Pages::huge ? "huge" : "plain";
  row.memory = memory_name(s);
  row.limit_name = limit.name;
  row.threads = s.threads;
  row.bytes = s.values * sizeof(float);
  row.target = item.target;
  row.foreign_cores = (foreign_seconds() - foreign_begin) / (now() - begin);
  const std::vector<Pair> kept = undisturbed(pairs);
  row.pairs = kept.size();
  row.dropped = pairs.size() - kept.size();
  const auto over = [&](auto value) {
    std::vector<double> sample;
    for (const Pair& p : kept) sample.push_back(value(p));
    return quartiles(std::move(sample));
  };
  const double n = 1e-9 * static_cast<double>(s.values);
  row.ratio = over([](const Pair& p) { return p.limit / p.item; });
  row.ge_per_s = over([&](const Pair& p) { return n / p.item; }).median;
  row.limit_ge_per_s = over([&](const Pair& p) { return n / p.limit; }).median;
  row.ratio_memcpy = over([](const Pair& p) { return p.copy / p.item; }).median;
  row.limit_memcpy = over([](const Pair& p) { return p.copy / p.limit; }).median;
  return row;
}

}  // namespace lowbit::bench
