// Large tensors written to an HDF5 file piece by piece, as they are computed; the file appears when it is complete.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "results/store/file_io.hpp"
#include "results/store/tree.hpp"

namespace lowbit::store {

/// How float32 values are stored. bf16: rounded to nearest even, read back exactly by any HDF5 library (a custom
/// float).
enum class StoredFloat { f32, bf16 };

/// Bits of a float32 rounded to bfloat16 (nearest even; NaN stays NaN, beyond the range becomes Inf).
std::uint16_t bf16_bits(float value);

/// A file of named tensors in the root group: chunked, with checksums, without object times. It is written under a
/// temporary name in the same folder and gets its own by finish(); everything else (an Error, the destructor) removes
/// it.
class TensorStream {
 public:
  /// Error: an existing file under Overwrite::refuse, a folder that cannot be made or written.
  TensorStream(const std::string& path, Overwrite overwrite, const std::vector<Attribute>& attributes);
  ~TensorStream();
  TensorStream(const TensorStream&) = delete;
  TensorStream& operator=(const TensorStream&) = delete;

  /// A tensor of known shape; returns its number.
  std::size_t add(const std::string& name, const std::vector<std::size_t>& shape, StoredFloat type,
                  const std::vector<Attribute>& attributes);
  /// The next part of a tensor: values in C order that fill whole slices of the first axis. Error (io): the disk is
  /// full.
  void append(std::size_t tensor, std::span<const float> values);
  /// A second name for a tensor (the same data).
  void link(const std::string& name, std::size_t tensor);
  /// Closes, forces to disk, renames. std::logic_error where a tensor is incomplete.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lowbit::store
