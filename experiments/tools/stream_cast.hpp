// Quantising a stored tensor in bounded memory.
#pragma once
#include <functional>
#include <span>

#include "formats/block.hpp"
#include "formats/primitives.hpp"
#include "sim/source/stored_tensor.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {

struct CastJob {
  const Format& format;
  const Transform& transform;
  const StoredTensor& tensor;
  Layout layout;
  std::uint64_t stream = 0;   ///< random stream of the tensor
  bool keep_rotated = false;  ///< leaves the values as they are after the transform
  int threads = 1;            ///< results do not depend on it
};

/// Takes values [first, first + values.size()) of the result, in any order, from any thread.
using ValueSink = std::function<void(std::size_t first, std::span<const float> values)>;

/// Hands the fake-quantised values of the whole tensor to `sink` and returns the sums of the errors (of float32 inputs;
/// no meaning with keep_rotated). Reads piece by piece, twice under a second-level scale; memory does not grow with the
/// tensor but for the tensors that TensorReader holds and the formats that do not work in units (TensorPieces). Plain
/// casts of float64 without a transform round once from double.
ErrorSums stream_cast(const CastJob& job, const ValueSink& sink);

}  // namespace lowbit
