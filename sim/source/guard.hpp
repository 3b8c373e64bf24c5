// Runs a parser on an untrusted file in a child process first: a crash or hang there becomes an Error here.
#pragma once
#include <functional>
#include <string>

namespace lowbit {

/// Forks; the child runs `trial` under limits on CPU time and memory, with its output discarded. Returns where the
/// trial returned; an Error that it threw is thrown here again with the same text and code; death by a signal or a
/// limit is Error (bad_data) naming `place`. `bytes` (size of the input) widens the limits: 5 s + 1 s per 50 MB, 2 GB +
/// 4 bytes a byte.
void try_in_child(const std::function<void()>& trial, const std::string& place, unsigned long long bytes);

}  // namespace lowbit
