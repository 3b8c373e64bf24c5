#include "sim/source/stored_tensor.hpp"

#include <algorithm>
#include <type_traits>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;  // values widened at a time

// Value i of C order lies at position sum(index_k * stride_k), stride_0 = 1, of Fortran order.
template <class T>
void fortran_to_c(const std::vector<T>& stored, const Shape& shape, T* out) {
  std::vector<std::size_t> stride(shape.size()), index(shape.size(), 0);
  std::size_t step = 1;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    stride[k] = step;
    step *= shape[k];
  }
  std::size_t position = 0;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    out[i] = stored[position];
    for (std::size_t k = shape.size(); k-- > 0;) {
      position += stride[k];
      if (++index[k] < shape[k]) break;
      position -= stride[k] * shape[k];
      index[k] = 0;
    }
  }
}

void check_float(const StoredTensor& tensor) {
  if (!tensor.is_float())
    throw_error(ExitCode::bad_data, "{}: dtype {} is not accepted (accepted: {})", tensor.place(),
                in_quotes(tensor.dtype_name), accepted_dtypes());
}

// In stored order.
template <class T>
void load_stored(const StoredTensor& tensor, T* out) {
  const std::size_t width = byte_size(tensor.dtype), size = tensor.size();
  if (std::is_same_v<T, float> && tensor.dtype == DType::f32)
    return tensor.read(0, size * width, reinterpret_cast<std::byte*>(out));
  std::vector<std::byte> bytes(std::min(size, kChunk) * width);
  for (std::size_t first = 0; first < size; first += kChunk) {
    const std::size_t count = std::min(kChunk, size - first);
    tensor.read(first * width, count * width, bytes.data());
    widen(tensor.dtype, {bytes.data(), count * width}, std::span<T>(out + first, count));
  }
}

template <class T>
void load_to(const StoredTensor& tensor, T* out) {
  if (!tensor.fortran_order || tensor.shape.size() < 2) return load_stored(tensor, out);
  std::vector<T> stored(tensor.size());
  load_stored(tensor, stored.data());
  fortran_to_c(stored, tensor.shape, out);
}

template <class T>
std::vector<T> load(const StoredTensor& tensor) {
  check_float(tensor);
  std::vector<T> values(tensor.size());
  load_to(tensor, values.data());
  return values;
}

}  // namespace

std::size_t StoredTensor::size() const {
  return element_count(shape, place());
}

std::string StoredTensor::place() const {
  const bool named_by_file = file.size() > 4 && file.compare(file.size() - 4, 4, ".npy") == 0;
  return in_quotes(named_by_file ? file : file + ":" + name);
}

std::vector<float> StoredTensor::load_float() const {
  return load<float>(*this);
}

void StoredTensor::load_float(float* out) const {
  check_float(*this);
  load_to(*this, out);
}

std::vector<double> StoredTensor::load_double() const {
  return load<double>(*this);
}

std::vector<std::byte> StoredTensor::load_bytes() const {
  if (fortran_order && shape.size() > 1)
    throw_error(ExitCode::bad_data, "{}: is in Fortran order; packed data must be in C order", place());
  std::vector<std::byte> result(bytes);
  read(0, bytes, result.data());
  return result;
}

}  // namespace lowbit
