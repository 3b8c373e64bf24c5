// Progress of a run on stderr: a line that renews itself on a terminal, else one line a minute.
#pragma once
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>

namespace lowbit {

class Progress {
 public:
  /// `total` items of work, of which `before` were done by an earlier run and say nothing about the rate.
  Progress(std::string label, std::size_t total, std::size_t before);
  ~Progress();  ///< clears the line
  void done();  ///< one more item; may be called from any thread

 private:
  using Clock = std::chrono::steady_clock;
  std::string text(Clock::time_point now) const;

  std::string label_;
  std::size_t total_, before_, count_ = 0;
  bool terminal_;
  Clock::time_point start_, shown_;
  std::mutex mutex_;
};

/// "3 s", "4 min 10 s", "2 h 5 min".
std::string duration_text(double seconds);

}  // namespace lowbit
