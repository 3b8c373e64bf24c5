// An element encoding: the independent facts of a number format of at most 32 bits, one row each in element_table.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace lowbit {

enum class ElementKind {
  floating,  ///< sign | exponent | mantissa
  integer,   ///< two's complement, value = code * 2^-fraction_bits
  exponent,  ///< exponent only (E8M0): value = 2^(code - bias)
  codebook   ///< a list of values (NF4, bitsandbytes FP4, ternary)
};

/// What a floating element does with the codes at the top of its range.
enum class NonFinite {
  ieee,  ///< all-ones exponent: Inf (mantissa 0) and NaN
  fn,    ///< no Inf; NaN where all exponent and mantissa bits are one
  fnuz,  ///< no Inf, no -0; the code of -0 is the only NaN
  none   ///< every code is a finite number
};

/// One row of the table. Only independent facts are stored; limits and tables are derived.
struct Element {
  std::string_view name;   ///< canonical, lower case: "e4m3"
  std::string_view alias;  ///< accepted on input ("e4m3fn"), or empty
  ElementKind kind;
  int bits;
  int exponent_bits;  ///< floating, exponent
  int mantissa_bits;  ///< floating
  int bias;           ///< floating, exponent
  bool is_signed;
  NonFinite non_finite;
  int q_min, q_max;                 ///< integer: range of codes that an encoder emits
  std::span<const float> codebook;  ///< codebook: value of each code
  std::string_view source;          ///< specification and section

  bool is_float() const { return kind == ElementKind::floating; }
  bool is_integer() const { return kind == ElementKind::integer; }
  bool has_nan() const;
  bool has_infinity() const;
  bool has_negative_zero() const;
  /// Largest finite value (the symmetric Q for an integer).
  double max() const;
  /// Smallest finite value (0 for unsigned formats).
  double min() const;
  /// floor(log2(max())): the exponent that the OCP scale rule subtracts.
  int emax() const;
  double min_normal() const;
  double min_subnormal() const;  ///< smallest positive value
  std::uint32_t code_count() const { return bits >= 32 ? 0u : 1u << bits; }
  std::uint32_t max_code() const;  ///< code of max()
  std::uint32_t nan_code() const;  ///< code that a NaN is encoded as; see codec.hpp for elements without NaN
};

/// All rows, in the order of formats.md section 2 and after.
std::span<const Element> elements();

/// The element of that name or alias, or nullptr.
const Element* find_element(std::string_view name);

/// As find_element; an unknown name is an Error that names the accepted ones and the nearest of them.
const Element& element(std::string_view name);

}  // namespace lowbit
