// What a path must be before a program begins the work whose result it will hold.
#pragma once
#include <string>
#include <vector>

namespace lowbit {

/// Error (cannot_create) for a path that is a folder, that exists without `force`, or that exists and is no regular
/// file; Error (usage) for one that occurs twice. Empty paths stand for outputs that are not asked for.
void check_outputs(const std::vector<std::string>& paths, bool force);

}  // namespace lowbit
