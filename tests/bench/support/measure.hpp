// The measurement: a case and its limit in turn, pair by pair, on the same memory.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sim/threads.hpp"
#include "tests/bench/support/buffers.hpp"
#include "tests/bench/support/traffic.hpp"

namespace lowbit::bench {

/// Work on values [first, first + count) of a tensor; phases run one after the other, each on all threads.
using Phase = std::function<void(std::size_t first, std::size_t count)>;
using Phases = std::vector<Phase>;

/// Where and how a case runs.
struct Setting {
  std::size_t values = 0;  ///< of the whole tensor, a multiple of 4096
  std::size_t threads = 1;
  Pages pages = Pages::huge;
  bool cached = false;  ///< the parts of all threads fit their L2 caches: each runs many times
};

struct Case {
  std::string name, format;
  Pattern pattern = Pattern::copy;
  std::string place;  ///< "out" or "in"
  double target = 0;  ///< least ratio that is wanted; 0: none is stated
  /// What is done to x (and y, where the case has an output apart). Called once, before time is taken.
  std::function<Phases(float* x, float* y, const Setting& setting)> prepare;
  /// What the case is held against in place of the limit of its pattern, and its name.
  std::function<Phases(float* x, float* y, const Setting& setting)> baseline = {};
  std::string baseline_name = {};
  bool whole =
      false;  ///< its phases (and those of the baseline) take the whole tensor and share it among threads themselves
};

/// The fastest variant of a traffic pattern.
struct Limit {
  std::vector<Traffic> passes;
  std::string name;
  bool in_pieces = false;  ///< threads take pieces of 1 MiB in turn; else each has one half
};

struct Quartiles {
  double first = 0, median = 0, third = 0;
};
Quartiles quartiles(std::vector<double> sample);

/// One line of the result. Speeds count values (Ge/s: 10^9 a second).
struct Row {
  std::string name, format, place, pages, memory, limit_name;
  std::size_t threads = 0, bytes = 0, pairs = 0, dropped = 0;
  double foreign_cores = 0;  ///< processors that other processes kept busy meanwhile
  double ge_per_s = 0, limit_ge_per_s = 0, ratio_memcpy = 0, limit_memcpy = 0, target = 0;
  Quartiles ratio;
};

/// One variant of a limit that was tried.
struct Tried {
  std::string pattern, name, pages, memory;
  std::size_t threads = 0;
  double gb_per_s = 0, to_memcpy = 0;
  bool chosen = false;
};

class Bench {
 public:
  explicit Bench(std::size_t pairs) : pairs_(pairs) {}

  /// Measures at least `pairs` pairs. The ratio of a pair is limit time / case time; pairs whose limit strays from the
  /// median limit by more than 15 %, or during which other processes used more than a quarter of a processor, are
  /// dropped and measured again, up to six times as many in all. Where that leaves none, the strays' rule alone
  /// decides.
  Row run(const Case& item, const Setting& setting);
  const std::vector<Tried>& tried() const { return tried_; }

 private:
  struct Memory {
    Buffer x, y;
  };
  Memory& memory(const Setting& setting);
  Threads& threads(std::size_t count);
  double time(const Phases& phases, const Setting& setting, bool in_pieces, bool whole = false);
  const Limit& limit(Pattern pattern, const Setting& setting);
  Limit fastest(Pattern pattern, const Setting& setting);

  std::size_t pairs_;
  std::map<std::size_t, std::unique_ptr<Threads>> pools_;
  std::map<std::string, std::unique_ptr<Memory>> memory_;
  std::map<std::string, Limit> limits_;
  std::vector<Tried> tried_;
};

/// Values that a case reads: N(0, 1) in all of x, as the peers were measured.
void fill_gaussian(float* x, std::size_t n);

}  // namespace lowbit::bench
