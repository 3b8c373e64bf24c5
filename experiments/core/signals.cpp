#include "experiments/core/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "formats/error.hpp"

namespace lowbit {
namespace {

std::atomic<int> stop{0};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  if (number == SIGINT && stop.exchange(number) == SIGINT) ::_exit(130);
  stop = number;
}

}  // namespace

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (int number : {SIGTERM, SIGUSR1, SIGINT}) ::sigaction(number, &action, nullptr);
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
}

int stop_signal() {
  return stop;
}
int stop_exit_code() {
  return stop == SIGINT ? 130 : static_cast<int>(ExitCode::temporary);
}
void set_stop_signal(int number) {
  stop = number;
}

}  // namespace lowbit
