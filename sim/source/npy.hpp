// NumPy's .npy files, format versions 1.0 to 3.0 (numpy.lib.format).
#pragma once
#include <cstdint>
#include <string>

#include "sim/source/stored_tensor.hpp"

namespace lowbit {

/// Reads the header and checks the file's length against it. Types: f2, f4, f8 of either byte order, and V2 as bfloat16
/// (what the ml_dtypes package writes; plain NumPy has no bfloat16). Integers, bool, complex, strings, objects and
/// structures stay `DType::other`, which loading refuses by name. C and Fortran order, up to 64 axes.
/// Error (bad_data): not a .npy file, malformed header, unknown or repeated key, length that differs from the header's.
StoredTensor open_npy(const std::string& path);

/// Header of a version 1.0 file that holds C-order values of `descr` ("<f4", "|u1", ...), padded so that data starts at
/// a multiple of 64 bytes.
std::string npy_header(const Shape& shape, const std::string& descr);

}  // namespace lowbit
