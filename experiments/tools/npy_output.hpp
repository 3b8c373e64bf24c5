// Values written as .npy files, complete or not at all.
#pragma once
#include <string>
#include <vector>

#include "sim/tensor.hpp"

namespace lowbit {

/// Error (cannot_create) for a path that is a folder, that exists without `force`, or that occurs twice, before work is
/// done. Empty paths stand for outputs that are not asked for.
void check_outputs(const std::vector<std::string>& paths, bool force);

/// float32 in C order.
void write_npy(const std::string& path, const Shape& shape, const std::vector<float>& values, bool force);

}  // namespace lowbit
