// An element encoding: the independent facts of a number format of at most 32 bits, one row each in element_table.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace lowbit {

enum class ElementKind {
  floating,  ///< sign | exponent | mantissa
  integer,   ///< two's complement, value = code (under an E8M0 scale: code * 2^-(bits - 2), see scale_rule.hpp)
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
  bool ties_down;  ///< codebook: rne gives a value on a midpoint to the lower neighbour, not to the one nearer zero
  std::string_view source;  ///< specification and section

  bool is_float() const { return kind == ElementKind::floating; }
  bool is_integer() const { return kind == ElementKind::integer; }
  bool has_nan() const { return kind == ElementKind::exponent || (is_float() && non_finite != NonFinite::none); }
  bool has_infinity() const { return is_float() && non_finite == NonFinite::ieee; }
  bool has_negative_zero() const {
    return is_float() ? is_signed && non_finite != NonFinite::fnuz : codebook_has_negative_zero();
  }
  /// Largest finite value (the symmetric Q for an integer).
  double max() const;
  /// Smallest finite value (2^-127 for E8M0, 0 for UE4M3, q_min for an integer).
  double min() const;
  /// floor(log2(max())): the exponent that the OCP scale rule subtracts.
  int emax() const;
  double min_normal() const;     ///< smallest positive value with the full precision of the element
  double min_subnormal() const;  ///< smallest positive value
  std::uint32_t code_count() const { return bits >= 32 ? 0u : 1u << bits; }
  std::uint32_t sign_bit() const { return 1u << (bits - 1); }  ///< floating and signed only
  /// Code of max(). Inline for floats: every conversion asks.
  std::uint32_t max_code() const {
    if (!is_float()) return other_max_code();
    const std::uint32_t all_ones = (1u << (exponent_bits + mantissa_bits)) - 1;
    return all_ones - (non_finite == NonFinite::ieee ? 1u << mantissa_bits : non_finite == NonFinite::fn ? 1u : 0u);
  }
  /// Code that a NaN is encoded as: the quiet NaN of IEEE-like elements (only the top mantissa bit set), the NaN of the
  /// others; without a NaN +max (floating), 0 (integer) or the code of zero (codebook).
  std::uint32_t nan_code() const;

 private:
  std::uint32_t other_max_code() const;
  bool codebook_has_negative_zero() const;
};

/// All rows: floats, E8M0, integers (symmetric, full range), codebooks.
std::span<const Element> elements();

/// The element of that name or alias, or nullptr.
const Element* find_element(std::string_view name);

/// The row of an integer element that uses all 2^bits codes: int8 -> int8_full; an int8_full is returned as it is.
const Element& full_range(const Element& integer);

/// As find_element; an unknown name is an Error that names the accepted ones and the nearest of them.
const Element& element(std::string_view name);

}  // namespace lowbit
