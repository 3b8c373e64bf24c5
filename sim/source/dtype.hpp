// Number types that tensors have in files, and their exact widening to float and double.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace lowbit {

/// Floating types that the readers load; everything else (integers, bool, complex, narrower floats) is `other` and is
/// refused by name when its values are asked for.
enum class DType { f64, f32, f16, bf16, f8_e4m3, f8_e5m2, other };

/// "float64", "float32", "float16", "bfloat16", "float8_e4m3", "float8_e5m2", "other".
std::string_view to_string(DType dtype);
/// The names of the accepted types, for messages.
std::string accepted_dtypes();
/// Bytes a value; 0 for `other`.
std::size_t byte_size(DType dtype);

/// Little-endian values of `dtype` widened exactly, but for f64 -> float, which rounds to nearest even (overflow to
/// Inf). NaNs of the 8- and 16-bit types become the canonical NaN; NaN bits of f32 read as float, and f64 read as
/// double, stay. `bytes` holds out.size() values. `dtype` is not `other`.
void widen(DType dtype, std::span<const std::byte> bytes, std::span<float> out);
void widen(DType dtype, std::span<const std::byte> bytes, std::span<double> out);

}  // namespace lowbit
