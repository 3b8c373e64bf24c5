// Hugging Face model folders: tensors spread over several .safetensors files, with an index that says where each one
// is.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sim/source/stored_tensor.hpp"

namespace lowbit {

/// Path of the index in `folder`: model.safetensors.index.json, else the only *.safetensors.index.json. Error
/// (bad_data) where there are several others.
std::optional<std::string> find_shard_index(const std::string& folder);

/// The tensors of the index ("weight_map": {name: file}) in its order of names. Tensors that a shard holds beyond
/// the index are not part of the model and are left out.
/// Error (bad_data): malformed index, a file name with a directory part, a tensor that its file does not hold;
/// (no_input): a shard that does not exist.
std::vector<StoredTensor> open_sharded(const std::string& index_path);

}  // namespace lowbit
