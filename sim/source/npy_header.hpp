// The header text of a .npy file: a Python dictionary literal with the keys descr, fortran_order and shape.
#pragma once
#include <string>
#include <string_view>

#include "sim/tensor.hpp"

namespace lowbit {

struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  Shape shape;
};

/// Error (bad_data, naming `place`): anything but the three keys, each once, with a string, True or False, and a tuple
/// of at most 64 non-negative integers; a structured type.
NpyHeader parse_npy_header(std::string_view text, const std::string& place);

}  // namespace lowbit
