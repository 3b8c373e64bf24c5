// Attributes, text types, chunks and dimension scales as every file of this layer has them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "results/store/hdf5_handle.hpp"
#include "results/store/tree.hpp"

namespace lowbit::store {

/// Texts of a fixed length in UTF-8, padded by NUL.
Handle text_type(std::size_t length);
Handle dataspace(const std::vector<std::size_t>& shape);
void put_attribute(hid_t object, const std::string& name, hid_t type, const std::vector<std::size_t>& shape,
                   const void* data);
void write_attribute(hid_t object, const Attribute& attribute);
/// Chunks of at most 1 MiB, cut along the first dimensions.
std::vector<hsize_t> chunk_shape(const std::vector<std::size_t>& shape, std::size_t value_bytes);
/// Makes a dataset a dimension scale; `ids`: the numbers that the netCDF library gives its dimensions.
void mark_scale(hid_t set, const std::string& scale_name, const std::vector<std::int32_t>& ids);

/// Attributes of an object but those of scales and dimensions. `file_bytes`: no attribute can be larger.
std::vector<Attribute> read_attributes(hid_t object, std::size_t file_bytes);

}  // namespace lowbit::store
