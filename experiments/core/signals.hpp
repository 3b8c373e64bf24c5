// What signals mean: SIGTERM, SIGUSR1 and SIGINT ask a run to finish the points it is at and stop; SIGBUS is a file
// that was cut off.
#pragma once
#include <string_view>

namespace lowbit {

/// Installs the handlers (a second SIGINT ends the program at once) and ignores SIGXFSZ and SIGPIPE, whose cause then
/// shows as the error of a write.
void watch_signals();
/// From now on, a file of `folder` that is read in place and is cut off meanwhile ends the program with one line and
/// the code of bad data, instead of with SIGBUS. Called once.
void watch_mapped_files(std::string_view program, std::string_view folder);
/// Number of the signal that has asked to stop, 0 if none has.
int stop_signal();
/// Exit code after that signal: 130 for SIGINT, 75 (requeue me) for the others.
int stop_exit_code();
/// As if that signal had come, 0 forgets it; for tests.
void set_stop_signal(int signal);

}  // namespace lowbit
