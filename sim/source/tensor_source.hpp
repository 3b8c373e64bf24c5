// One way in for tensors, whatever holds them: .npy, .safetensors, .h5, a Hugging Face folder, a folder of such files.
#pragma once
#include <string>
#include <vector>

#include "sim/source/stored_tensor.hpp"

namespace lowbit {

/// All tensors behind `path`; values are read later. A folder with `model.safetensors.index.json` (or one other
/// `*.safetensors.index.json`) is read through that index, any other folder gives the tensors of its .safetensors, .npy
/// and .h5 files in the order of their names. Errors: no_input for what does not exist or holds no tensors, bad_data
/// for malformed files and for a name that occurs in two files.
std::vector<StoredTensor> open_tensors(const std::string& path);

/// The one tensor that `spec` names: a path, or PATH:NAME; NAME may begin with the '/' of HDF5. A path alone must hold
/// exactly one tensor.
/// Errors as open_tensors; an unknown name is answered with the nearest ones.
StoredTensor open_tensor(const std::string& spec);

}  // namespace lowbit
