// The codes file: the split form of one tensor in HDF5, readable without this program as
// decode_table[codes] * scales (* tensor_scale, up to the format's own roundings).
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "formats/block.hpp"
#include "sim/tensor.hpp"

namespace lowbit {

/// What a codes file holds beside the split form.
struct CodesFile {
  Quantized quantized;
  Shape shape;                   ///< of the tensor; () where the layout has one axis of one value
  std::string name;              ///< of the tensor
  std::string transform = "id";  ///< the codes are of x T
  bool keep_rotated = false;     ///< decode leaves the values in the domain of the transform
};

/// Whether a format has a split form: all but named implementations (like=) that give values alone.
bool has_codes(const Format& format);

/// Root datasets codes (shape of the tensor), scales (one a group; fp32 as float32, others as their codes),
/// zero_points, tensor_scale, decode_table (value of each code), scale_table (value of each scale code); attributes
/// filetype, version, format, long_form, axis, layout, ... (results/tool_files.md). Complete or absent; Error as the
/// result store's, and for an empty tensor.
void write_codes(const std::string& path, const CodesFile& file, bool force);
/// The bytes of that file; `path` for the Error.
std::vector<std::byte> encode_codes(const std::string& path, const CodesFile& file);

/// Error (bad_data): not a codes file, another major version, a format name that is unknown or prints differently,
/// sizes that do not fit the format, codes beyond the element's bits.
CodesFile read_codes(const std::string& path);

/// True if `path` is an existing HDF5 codes file by its name (.h5, .hdf5).
bool is_codes_path(const std::string& path);

}  // namespace lowbit
