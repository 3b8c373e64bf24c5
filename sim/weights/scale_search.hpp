// Searching the scale of a group for the least error.
#pragma once
#include <cstddef>

#include "sim/model/tensor.hpp"
#include "sim/threads.hpp"
#include "sim/weights/grid.hpp"
#include "sim/weights/group_scale.hpp"

namespace lowbit::weights {

/// Grid "mse" and "mse2": the candidate s0 (1 - step i) with the least sum |x - y|^power, y under the unrounded
/// candidate, then rounded to the scale element; E8M0: of S and S / 2. FP-Quant, quantizer.py, MSE observer.
GroupScale search_scale(const GroupScales& scales, const Format& format, const float* x, std::size_t n, double power,
                        const SearchOptions& options);

/// The stored scale of least squared error among the codes up to the absmax one and down to a fifth of its value.
GroupScale nearest_code_scale(const GroupScales& scales, const Format& format, const float* x, std::size_t n);

/// Alternates between group scales of least squared error under a tensor scale, and the tensor scale of least squared
/// error under the codes of scales and values (a one-dimensional least squares problem). Returns the tensor scale; it
/// never has a larger error than the first one.
float alternate_scales(GroupScales scales, const Format& format, model::ConstRows w, Threads& threads,
                       const SearchOptions& options);

}  // namespace lowbit::weights
