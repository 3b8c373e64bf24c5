// Tensors in HDF5 files: numeric datasets, whatever group they lie in.
#pragma once
#include <string>
#include <vector>

#include "sim/source/stored_tensor.hpp"

namespace lowbit {

/// Every dataset of numbers, named by its path without the leading slash, in the order of the names. IEEE f64, f32, f16
/// and bfloat16 (custom float) are loaded from their bits, never through the library's conversion, which rounds
/// wrongly; other types are listed and refused when they are loaded. Links to other files and virtual datasets are not
/// followed. The file is first read completely in a child process with limits on time and memory, so that a damaged
/// file that makes the library crash or hang ends in an Error. Error (bad_data): not an HDF5 file, damaged, larger than
/// it says.
std::vector<StoredTensor> open_h5(const std::string& path);

}  // namespace lowbit
