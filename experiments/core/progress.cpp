#include "experiments/core/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lowbit {
namespace {

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(2) && term && std::strcmp(term, "dumb") != 0;
}

constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

std::string duration_text(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

Progress::Progress(std::string label, std::size_t total, std::size_t before)
    : label_(std::move(label)),
      total_(total),
      before_(before),
      terminal_(stderr_is_terminal()),
      start_(Clock::now()),
      shown_(start_) {}

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "{}", kClearLine);
}

std::string Progress::text(Clock::time_point now) const {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = static_cast<double>(count_) / seconds;
  const std::size_t left = total_ - before_ - count_;
  return fmt::format("{}: {}/{} points, {:.3g}/s, {} left", label_, before_ + count_, total_, rate,
                     duration_text(static_cast<double>(left) / rate));
}

void Progress::done() {
  const std::lock_guard lock(mutex_);
  ++count_;
  const auto now = Clock::now();
  if (now - shown_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(60000))) return;
  shown_ = now;
  fmt::print(stderr, "{}{}{}", terminal_ ? kClearLine : "", text(now), terminal_ ? "" : "\n");
}

}  // namespace lowbit
