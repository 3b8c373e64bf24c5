// A named tensor that lies in a file: shape and type are known, values are read when they are asked for.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/source/dtype.hpp"
#include "sim/tensor.hpp"

namespace lowbit {

struct StoredTensor {
  std::string name;  ///< as the file calls it; the stem of a .npy file
  std::string file;  ///< path of the file that holds the values
  Shape shape;       ///< C order, whatever the order in the file
  DType dtype = DType::other;
  std::string dtype_name;      ///< as the file calls it: "<f4", "BF16"
  bool fortran_order = false;  ///< stored with the first axis contiguous
  std::size_t bytes = 0;       ///< of the stored values
  /// Copies stored bytes [offset, offset + count) as little-endian values in stored order.
  std::function<void(std::size_t offset, std::size_t count, std::byte* out)> read;
  /// The stored bytes in place for as long as the pointer lives (InputFile::map); nullptr where the system refuses.
  /// From one thread at a time. Empty where the file does not hold them as they are.
  std::function<std::shared_ptr<const std::byte>()> map;
  bool random_access = false;  ///< read() fetches what is asked for and nothing else, from any thread

  std::size_t size() const;  ///< number of values; readers have checked that the product does not overflow
  bool is_float() const { return dtype != DType::other; }
  std::string place() const;  ///< "'FILE:NAME'", for messages

  /// All values in C order, widened exactly (f64 as float: rounded to nearest even). Error (bad_data) naming the type
  /// where it is not one of the accepted floating types.
  std::vector<float> load_float() const;
  /// The same into `out`, size() values.
  void load_float(float* out) const;
  std::vector<double> load_double() const;
  /// Stored bytes as they lie, whatever the type; for packed containers. Error for Fortran order.
  std::vector<std::byte> load_bytes() const;
};

}  // namespace lowbit
