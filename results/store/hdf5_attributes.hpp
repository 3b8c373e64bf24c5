// Attributes of one object of an HDF5 file, without its data.
#pragma once
#include <string>
#include <vector>

#include "results/store/tree.hpp"

namespace lowbit::store {

/// Attributes of the object at `object` ("/" for the file): integers, floats and texts of fixed or variable length;
/// others are left out. Error: no_input for a missing file, bad_data for what is no HDF5 file or has no such object.
std::vector<Attribute> read_attributes(const std::string& path, const std::string& object);

}  // namespace lowbit::store
