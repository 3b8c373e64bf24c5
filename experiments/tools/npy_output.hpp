// Values written as .npy files, complete or not at all.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/output_paths.hpp"
#include "sim/tensor.hpp"

namespace lowbit {

/// float32 in C order.
void write_npy(const std::string& path, const Shape& shape, const std::vector<float>& values, bool force);

}  // namespace lowbit
