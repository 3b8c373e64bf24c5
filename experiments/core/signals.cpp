#include "experiments/core/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

std::atomic<int> stop{0};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  if (number == SIGINT && stop.exchange(number) == SIGINT) ::_exit(130);
  stop = number;
}

std::string lost_file;

void on_lost_file(int number, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR) {
    ::signal(number, SIG_DFL);  // not a file: what the system does about it happens again
    return;
  }
  static std::atomic_flag told;
  while (told.test_and_set()) ::pause();  // another thread is writing
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, lost_file.data(), lost_file.size());
  ::_exit(static_cast<int>(ExitCode::bad_data));
}

}  // namespace

void watch_mapped_files(std::string_view program, std::string_view folder) {
  lost_file = fmt::format("{}: error: {}: a file became shorter or could not be read\n", program, in_quotes(folder));
  struct sigaction action {};
  action.sa_sigaction = on_lost_file;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

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
