// Plain casts: an element without a scale, value by value.
#pragma once
#include "formats/block.hpp"

namespace lowbit {

/// y_i = round_to(element, x_i), one rounding from the type of x. Float: float or double.
template <class Float>
void fake_cast(const Format& format, const Layout& layout, const Float* x, float* y, const QuantizeContext& context);
template <class Float>
Quantized encode_cast(const Format& format, const Layout& layout, const Float* x, const QuantizeContext& context);
void decode_cast(const Quantized& quantized, float* y);

}  // namespace lowbit
