// Trees (tree.hpp) as HDF5 files, in the layout that survives: libver 1.10, fixed-length texts, every dataset chunked
// with a Fletcher-32 checksum, no object times, so that equal trees give equal bytes and a damaged byte is an error.
#pragma once
#include <string>

#include "results/store/file_io.hpp"
#include "results/store/tree.hpp"

namespace lowbit::store {

/// The bytes of the file. Throws std::logic_error for a malformed tree (check_tree).
std::vector<std::byte> encode_tree(const Group& root);

/// Writes the tree whole or not at all (write_atomically).
void write_tree(const std::string& path, const Group& root, Overwrite overwrite);

/// Reads a file of this layout, or another HDF5 file made of integers, IEEE floats and fixed-length texts. Arrays and
/// groups come in the order of their names, attributes too; dimension scale bookkeeping is turned into `dims`.
/// Error: 66/65/74 as read_whole; 65 for what is no HDF5 file, is damaged, or holds a type that is not supported,
/// naming the dataset.
Group read_tree(const std::string& path);

/// "1.10.8": the HDF5 library in use.
std::string hdf5_version();

}  // namespace lowbit::store
