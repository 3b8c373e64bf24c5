// Differences between our quantised tensor and somebody else's, value by value.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/tensor_input.hpp"

namespace lowbit {

/// What the user's stack made of the tensor: values, or the split form.
struct Other {
  std::string place;
  Shape shape;
  std::vector<double> values;      ///< widened exactly
  std::optional<CodesFile> codes;  ///< values are then its decoded ones
};

/// Two results are the same value: all bits equal, the sign of zero included; any two NaNs count as equal, since their
/// payload is not part of a format.
bool same_value(float ours, double theirs);

/// Number of values that differ.
std::size_t count_differences(const std::vector<float>& ours, const std::vector<double>& theirs);

struct Comparison {
  std::size_t values = 0, differing_values = 0, sign_of_zero = 0;  ///< sign_of_zero: those that differ in nothing else
  double max_abs_difference = 0;
  std::optional<std::size_t> differing_codes, differing_scales, differing_zero_points;  ///< of codes files
  std::optional<bool> tensor_scale_differs;
  std::vector<Record> first;  ///< the first ten differing places
  bool equal() const;
};

/// `y`: our values in the domain in which `other` is; `x`: the input in the domain in which it was quantised; `q`: our
/// split form, or nothing where the format has no codes.
Comparison compare_results(const Format& format, const TensorInput& input, const std::vector<float>& x,
                           const std::vector<float>& y, const std::optional<Quantized>& q, const Other& other);

}  // namespace lowbit
