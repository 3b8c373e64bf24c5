// SIGTERM, SIGUSR1 and SIGINT ask a run to finish the points it is at and stop.
#pragma once
#include <string_view>

namespace lowbit {

/// Installs the handlers (a second SIGINT ends the program at once) and ignores SIGXFSZ and SIGPIPE, whose cause then
/// shows as the error of a write.
void watch_signals();
/// For the time in which `file` is read in place: where it is cut off meanwhile, the process ends with one line that
/// names it, and with the code of bad data, instead of with SIGBUS.
void watch_mapped_file(std::string_view program, std::string_view file);
/// Number of the signal that has asked to stop, 0 if none has.
int stop_signal();
/// Exit code after that signal: 130 for SIGINT, 75 (requeue me) for the others.
int stop_exit_code();
/// As if that signal had come, 0 forgets it; for tests.
void set_stop_signal(int signal);

}  // namespace lowbit
