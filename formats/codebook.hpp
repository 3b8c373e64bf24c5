// Nearest neighbours in the elements that are a list of values (NF4, bitsandbytes FP4, ternary).
#pragma once
#include <cstdint>

#include "formats/element.hpp"
#include "formats/rounding.hpp"

namespace lowbit {

/// Code of x (not NaN) in a codebook element, as encode() documents it.
std::uint32_t encode_codebook(const Element& element, double x, Rounding rounding, std::uint32_t word);

}  // namespace lowbit
