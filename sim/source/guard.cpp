#include "sim/source/guard.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "formats/error.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define LOWBIT_ADDRESS_SANITIZER 1  // its shadow memory does not fit under a limit of the address space
#endif

namespace lowbit {
namespace {

void set_limits(unsigned long long bytes) {
  const rlim_t seconds = 5 + bytes / 50'000'000;
  const rlimit cpu{seconds, seconds};
  ::setrlimit(RLIMIT_CPU, &cpu);
#ifndef LOWBIT_ADDRESS_SANITIZER
  const rlim_t memory = (rlim_t{2} << 30) + 4 * bytes;
  const rlimit space{memory, memory};
  ::setrlimit(RLIMIT_AS, &space);
#endif
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

[[noreturn]] void child(const std::function<void()>& trial, int report, unsigned long long bytes) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU}) std::signal(signal, SIG_DFL);
  const int nowhere = ::open("/dev/null", O_WRONLY);
  if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
  set_limits(bytes);
  std::string message = "+";
  try {
    trial();
  } catch (const Error& error) {
    message = std::string(1, static_cast<char>(error.code())) + error.what();
  } catch (...) {
    ::_exit(1);  // out of memory, mostly: the parent reports it
  }
  // a pipe holds 64 KiB, messages are far shorter
  const ssize_t written = ::write(report, message.data(), message.size());
  ::_exit(written < 0 ? 1 : 0);
}

std::string read_all(int descriptor) {
  std::string text;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = ::read(descriptor, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
  return text;
}

}  // namespace

void try_in_child(const std::function<void()>& trial, const std::string& place, unsigned long long bytes) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_error(ExitCode::internal, "{}: no pipe: {}", place, std::strerror(errno));
  const pid_t pid = ::fork();
  if (pid < 0) throw_error(ExitCode::internal, "{}: no child process: {}", place, std::strerror(errno));
  if (pid == 0) child(trial, ends[1], bytes);
  ::close(ends[1]);
  const std::string message = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status) || message.empty())
    throw_error(ExitCode::bad_data, "{}: damaged: reading it {}", place,
                WIFSIGNALED(status) ? fmt::format("ended with signal {}", WTERMSIG(status)) : "failed");
  if (message != "+") throw Error(message.substr(1), static_cast<ExitCode>(static_cast<unsigned char>(message[0])));
}

}  // namespace lowbit
