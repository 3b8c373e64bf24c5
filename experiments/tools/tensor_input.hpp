// The tensor that a verb works on: values, layout and the name that its random stream comes from.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "experiments/core/command_line.hpp"
#include "formats/block.hpp"
#include "sim/source/stored_tensor.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {

struct TensorInput {
  std::string name;   ///< of the tensor: the stem of a .npy file
  std::string place;  ///< "'FILE:NAME'", for messages
  Shape shape;        ///< as stored; () for a single value
  Layout layout;      ///< shape and axis; (1,) for a single value
  DType dtype;
  std::vector<float> values;  ///< in C order; float64 rounded to float32
  std::vector<double> wide;   ///< the values before rounding, for float64 only
};

/// Reads `spec` (FILE.npy or FILE:NAME). `axis`: text of --axis. Errors of the readers; (usage) for an axis that the
/// shape does not have.
TensorInput read_tensor(const std::string& spec, const std::string& axis);

/// The layout of `shape` along the axis named by the text of --axis.
Layout layout_along(const Shape& shape, const std::string& axis, const std::string& place);

/// Declares --axis.
void declare_axis(CommandLine& line);

/// Fake-quantised values of the whole input as one tensor, in the domain of `transform`: y = Q(x T). Plain casts of
/// float64 without a transform round once from double.
std::vector<float> quantise_values(const Format& format, const Transform& transform, const TensorInput& input,
                                   std::uint64_t stream);
/// The split form of the same.
Quantized quantise_codes(const Format& format, const Transform& transform, const TensorInput& input,
                         std::uint64_t stream);

}  // namespace lowbit
