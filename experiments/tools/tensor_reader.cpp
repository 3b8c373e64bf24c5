#include "experiments/tools/tensor_reader.hpp"

#include <algorithm>
#include <bit>
#include <span>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 16;  // values widened at a time

template <class T>
void read_stored(const StoredTensor& tensor, std::size_t first, std::size_t count, T* out) {
  const std::size_t width = byte_size(tensor.dtype);
  std::vector<std::byte> bytes(std::min(count, kChunk) * width);
  for (std::size_t done = 0; done < count; done += kChunk) {
    const std::size_t n = std::min(kChunk, count - done);
    tensor.read((first + done) * width, n * width, bytes.data());
    widen(tensor.dtype, {bytes.data(), n * width}, std::span<T>(out + done, n));
  }
}

}  // namespace

TensorReader::TensorReader(const StoredTensor& tensor) : tensor_(tensor) {
  if (!tensor.is_float())
    throw_error(ExitCode::bad_data, "{}: dtype {} is not accepted (accepted: {})", tensor.place(),
                in_quotes(tensor.dtype_name), accepted_dtypes());
  held_ = !tensor.random_access || (tensor.fortran_order && tensor.shape.size() > 1);
  if (held_ && tensor.dtype == DType::f64)
    wide_ = tensor.load_double();
  else if (held_)
    values_ = tensor.load_float();
}

void TensorReader::read(std::size_t first, std::size_t count, float* out) const {
  if (!wide_.empty())
    std::transform(wide_.begin() + static_cast<std::ptrdiff_t>(first),
                   wide_.begin() + static_cast<std::ptrdiff_t>(first + count), out,
                   [](double v) { return static_cast<float>(v); });
  else if (held_)
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first), count, out);
  else if (tensor_.dtype == DType::f32 && std::endian::native == std::endian::little)
    tensor_.read(first * sizeof(float), count * sizeof(float), reinterpret_cast<std::byte*>(out));
  else
    read_stored(tensor_, first, count, out);
}

void TensorReader::read(std::size_t first, std::size_t count, double* out) const {
  if (!wide_.empty())
    std::copy_n(wide_.begin() + static_cast<std::ptrdiff_t>(first), count, out);
  else if (held_)
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first), count, out);
  else
    read_stored(tensor_, first, count, out);
}

}  // namespace lowbit
