// A Walsh-Hadamard transform and a quantiser in one pass over memory.
#pragma once
#include <cstddef>

#include "formats/block.hpp"

namespace lowbit {

/// The transform of consecutive blocks along the quantised axis: x T with T as in hadamard().
struct Rotation {
  std::size_t n = 1;             ///< values a block; an order that exists, and a divisor of the axis
  const float* signs = nullptr;  ///< n values +-1, or nullptr
  bool back = false;             ///< the quantised values are transformed back
};

/// y = Q(x T), or Q(x T) T^-1 with rotation.back; y may be x. The same bits as hadamard_ref, fake_quantize_ref and
/// hadamard_ref one after the other; a second-level scale is made of the maximum of x T unless the context has one.
/// Only for tensors whose axis is the last: rows are contiguous. Errors: as fake_quantize.
void rotate_quantize_ref(const Format& format, const Layout& layout, const Rotation& rotation, const float* x, float* y,
                         const QuantizeContext& context = {});
/// The entry point that everything uses: pieces are transformed and quantised in the cache where a kernel covers the
/// format, else the steps run one after the other.
void rotate_quantize(const Format& format, const Layout& layout, const Rotation& rotation, const float* x, float* y,
                     const QuantizeContext& context = {});

/// finite_amax of x T for `blocks` consecutive blocks of n values, without storing them: what a second-level scale of
/// the transformed values is made of.
float rotated_amax(const float* x, std::size_t n, std::size_t blocks, const float* signs);

}  // namespace lowbit
