// Values of a stored tensor piece by piece, so that a tensor need not fit in memory.
#pragma once
#include <cstddef>
#include <vector>

#include "sim/source/stored_tensor.hpp"

namespace lowbit {

class TensorReader {
 public:
  /// Tensors in Fortran order (of two axes and more) and those of .h5 files are read whole here, all others piece by
  /// piece. Error (bad_data): not of an accepted floating type. `tensor` must outlive the reader.
  explicit TensorReader(const StoredTensor& tensor);
  /// Values [first, first + count) in C order as StoredTensor::load_float and load_double give them. Any thread may
  /// call.
  void read(std::size_t first, std::size_t count, float* out) const;
  void read(std::size_t first, std::size_t count, double* out) const;

 private:
  const StoredTensor& tensor_;
  std::vector<float> values_;
  std::vector<double> wide_;
  bool held_ = false;
};

}  // namespace lowbit
