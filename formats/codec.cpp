#include "formats/codec.hpp"

#include <bit>

#include "formats/codebook.hpp"
#include "formats/unpack.hpp"

namespace lowbit {
namespace {

/// Number of random words below fraction * 2^32, fraction = remainder / 2^drop: word < this iff sr goes up.
std::uint64_t sr_threshold(std::uint64_t remainder, int drop) {
  if (drop <= 32) return remainder << (32 - drop);
  if (remainder == 0) return 0;
  return drop - 32 >= 64 ? 1 : ((remainder - 1) >> (drop - 32)) + 1;  // ceil
}

/// Stochastic part of round_shift.
std::uint64_t draw_shift(std::uint64_t significand, int drop, std::uint32_t word) {
  const std::uint64_t kept = drop >= 64 ? 0 : significand >> drop;
  const std::uint64_t remainder = drop >= 64 ? significand : significand & ((std::uint64_t{1} << drop) - 1);
  return kept + (word < sr_threshold(remainder, drop) ? 1 : 0);
}

/// What is added before the bits below the last place are dropped, so that a carry rounds up: from a half on (rna),
/// from more than a half on (rtsm), the latter or a half with an odd last place (rne), never (rtz).
template <class Integer>
inline Integer carry_in(Integer last_place, Integer half, Rounding rounding) {
  switch (rounding) {
    case Rounding::rne:
      return half - 1 + last_place;
    case Rounding::rna:
      return half;
    case Rounding::rtsm:
      return half - 1;
    default:
      return 0;
  }
}

/// significand / 2^drop rounded to an integer, drop >= 0. The parity that rne looks at is that of the integer.
inline std::uint64_t round_shift(std::uint64_t significand, int drop, Rounding rounding, std::uint32_t word) {
  if (drop == 0) return significand;
  if (rounding == Rounding::sr) return draw_shift(significand, drop, word);
  if (drop > 60) return 0;  // a significand has 53 bits: less than a half
  return (significand + carry_in(significand >> drop & 1, std::uint64_t{1} << (drop - 1), rounding)) >> drop;
}

inline std::uint32_t signed_code(const Element& element, std::uint32_t magnitude, bool negative) {
  if (!negative || (magnitude == 0 && !element.has_negative_zero())) return magnitude;
  return magnitude | element.sign_bit();
}

/// The code of a value that overflowed, or of Inf, under Overflow::ovf.
std::uint32_t overflow_code(const Element& element, bool negative) {
  return element.has_infinity() ? signed_code(element, element.max_code() + 1, negative) : element.nan_code();
}

inline std::uint32_t encode_floating(const Element& element, const Unpacked& x, Conversion conversion,
                                     std::uint32_t word) {
  const std::uint32_t max_code = element.max_code();
  const bool saturates = conversion.overflow == Overflow::sat || element.non_finite == NonFinite::none;
  // 1. Zero and Inf.
  if (x.kind == FloatClass::zero) return signed_code(element, 0, x.negative && element.is_signed);
  if (x.kind == FloatClass::infinite) {
    if (!saturates) return overflow_code(element, x.negative);
    return x.negative && !element.is_signed ? 0 : signed_code(element, max_code, x.negative);
  }
  // 2. Round to a multiple of the gap of x's binade; below the smallest normal the gap no longer shrinks. The rounded
  //    multiple added to the exponent field is the code, since a carry out of the mantissa is the next exponent. The
  //    exponent is taken as unbounded above: codes past max_code are the values that would follow.
  const int emin = 1 - element.bias;
  const int e = x.log2;
  const int binade = e < emin ? emin : e;
  const int drop = binade - element.mantissa_bits - x.exponent;
  const std::uint64_t field = static_cast<std::uint64_t>(binade - emin) << element.mantissa_bits;
  const bool below_zero = x.negative && !element.is_signed;
  Rounding rounding = conversion.rounding;
  if (rounding == Rounding::sr) {  // draws nothing outside the range
    const bool outside = below_zero || field + round_shift(x.significand, drop, Rounding::rtz, 0) >= max_code;
    if (outside) rounding = Rounding::rne;
  }
  const std::uint64_t code = field + round_shift(x.significand, drop, rounding, word);
  // 3. An element without a sign has nothing below zero.
  if (below_zero) return saturates || code == 0 || rounding == Rounding::rtz ? 0 : element.nan_code();
  // 4. Overflow: rtz stays at max.
  if (code > max_code) {
    if (!saturates && rounding != Rounding::rtz) return overflow_code(element, x.negative);
    return signed_code(element, max_code, x.negative);
  }
  // 5. Sign.
  return signed_code(element, static_cast<std::uint32_t>(code), x.negative);
}

/// E8M0: code = exponent + 127, the neighbours of x are 2^e and 2^(e+1).
std::uint32_t encode_exponent(const Element& element, const Unpacked& x, Conversion conversion, std::uint32_t word) {
  const int max_code = static_cast<int>(element.max_code());
  const bool saturates = conversion.overflow == Overflow::sat;
  if (x.kind == FloatClass::zero || x.negative) return element.nan_code();
  if (x.kind == FloatClass::infinite) return saturates ? element.max_code() : element.nan_code();
  const int e = x.log2;
  const int code = e + element.bias;
  if (code < 0) return 0;
  if (code > max_code)
    return saturates || conversion.rounding == Rounding::rtz ? element.max_code() : element.nan_code();
  const int drop = std::bit_width(x.significand) - 1;
  const std::uint64_t fraction = x.significand - (std::uint64_t{1} << drop);
  // A leading bit with the parity of the code makes round_shift's tie the one of the code.
  const std::uint64_t with_parity = fraction | (static_cast<std::uint64_t>(code & 1) << drop);
  const Rounding rounding =
      code == max_code && conversion.rounding == Rounding::sr ? Rounding::rne : conversion.rounding;
  const int rounded = code - (code & 1) + static_cast<int>(round_shift(with_parity, drop, rounding, word));
  if (rounded > max_code) return saturates ? element.max_code() : element.nan_code();
  return static_cast<std::uint32_t>(rounded);
}

/// Integers saturate under every overflow policy; -0 and values that round to zero give 0.
std::uint32_t encode_integer(const Element& element, const Unpacked& x, Rounding rounding, std::uint32_t word) {
  const std::uint64_t limit = static_cast<std::uint64_t>(x.negative ? -element.q_min : element.q_max);
  std::uint64_t magnitude = 0;
  if (x.kind == FloatClass::infinite || (x.kind == FloatClass::finite && x.log2 >= element.bits)) {
    magnitude = limit;
  } else if (x.kind == FloatClass::finite) {
    magnitude = round_shift(x.significand, -x.exponent, rounding, word);
    if (magnitude > limit) magnitude = limit;
  }
  const std::uint32_t mask = (1u << element.bits) - 1;
  const auto code = static_cast<std::uint32_t>(magnitude);
  return (x.negative ? 0u - code : code) & mask;
}

constexpr std::uint32_t kUnusual = 0xFFFFFFFF;
constexpr std::uint32_t kInfinityBits = 0x7F800000;

/// The common cases of encode_floating on the bits of a float, and faster: a finite x, nothing drawn, a signed element,
/// and x either in the element's normal range before rounding, or above it, or so small that it rounds to zero.
/// kUnusual otherwise.
inline std::uint32_t encode_usual_floating(const Element& element, std::uint32_t bits, Conversion conversion) {
  const int drop = 23 - element.mantissa_bits;
  if (!element.is_signed || drop == 0) return kUnusual;
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  const bool negative = bits >> 31 != 0;
  const std::uint32_t min_normal = static_cast<std::uint32_t>(128 - element.bias) << 23;
  if (magnitude < min_normal) {  // below half of the smallest subnormal is zero
    const int half = 127 - element.bias - element.mantissa_bits;
    const bool vanishes = half > 0 && magnitude < static_cast<std::uint32_t>(half) << 23;
    return vanishes ? signed_code(element, 0, negative) : kUnusual;
  }
  if (magnitude >= kInfinityBits) return kUnusual;
  // A float and the element differ in the bias and in the width of the mantissa: round, shift, rebias.
  const std::uint32_t rounded =
      magnitude + carry_in(magnitude >> drop & 1, std::uint32_t{1} << (drop - 1), conversion.rounding);
  const std::uint32_t code =
      (rounded >> drop) - (static_cast<std::uint32_t>(127 - element.bias) << element.mantissa_bits);
  if (code <= element.max_code()) return code | bits >> 31 << (element.bits - 1);
  const bool saturates = conversion.overflow == Overflow::sat || element.non_finite == NonFinite::none;
  if (!saturates && conversion.rounding != Rounding::rtz) return overflow_code(element, negative);
  return signed_code(element, element.max_code(), negative);
}

/// The same for encode_integer: below a half, and beyond the range.
inline std::uint32_t encode_usual_integer(const Element& element, std::uint32_t bits) {
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude < 0x3F000000) return 0;
  if (magnitude < static_cast<std::uint32_t>(127 + element.bits) << 23 || magnitude > kInfinityBits) return kUnusual;
  const int limit = bits >> 31 != 0 ? element.q_min : element.q_max;
  return static_cast<std::uint32_t>(limit) & ((1u << element.bits) - 1);
}

inline std::uint32_t encode_usual(const Element& element, std::uint32_t bits, Conversion conversion) {
  if (conversion.rounding == Rounding::sr) return kUnusual;
  if (element.kind == ElementKind::floating) return encode_usual_floating(element, bits, conversion);
  if (element.kind == ElementKind::integer) return encode_usual_integer(element, bits);
  return kUnusual;
}

template <class Float>
std::uint32_t encode_any(const Element& element, Float value, Conversion conversion, std::uint32_t word) {
  const Unpacked x = unpack(value);
  if (x.kind == FloatClass::nan) return element.nan_code();
  switch (element.kind) {
    case ElementKind::floating:
      return encode_floating(element, x, conversion, word);
    case ElementKind::exponent:
      return encode_exponent(element, x, conversion, word);
    case ElementKind::integer:
      return encode_integer(element, x, conversion.rounding, word);
    case ElementKind::codebook:
      break;
  }
  return encode_codebook(element, value, conversion.rounding, word);
}

inline float decode_floating(const Element& element, std::uint32_t code) {
  const std::uint32_t sign = element.is_signed ? code & element.sign_bit() : 0;
  const std::uint32_t magnitude = code & ~sign;
  // 1. NaN and Inf.
  if (element.non_finite == NonFinite::fnuz && code == element.sign_bit()) return canonical_nan();
  float value;
  if (magnitude > element.max_code()) {
    if (!element.has_infinity() || magnitude != element.max_code() + 1) return canonical_nan();
    value = std::bit_cast<float>(0x7F800000u);
  } else {
    // 2. (mantissa + hidden bit) * 2^(exponent of the last place): both factors and the product are exact.
    const std::uint32_t field = magnitude >> element.mantissa_bits;
    std::uint32_t significand = magnitude & ((1u << element.mantissa_bits) - 1);
    if (field != 0) significand |= 1u << element.mantissa_bits;
    const int binade = static_cast<int>(field == 0 ? 1 : field) - element.bias;
    const int top = binade < -103 ? binade - element.mantissa_bits : -element.mantissa_bits;
    // Far below 1 the last place itself is the factor; elsewhere it may lie beyond float, so it is applied in two
    // steps.
    value = static_cast<float>(significand) * pow2f(top);
    if (binade >= -103) value *= pow2f(binade);
  }
  return sign ? -value : value;
}

float decode_integer(const Element& element, std::uint32_t code) {
  const int unused = 32 - element.bits;
  return static_cast<float>(static_cast<std::int32_t>(code << unused) >> unused);
}

}  // namespace

float canonical_nan() {
  return std::bit_cast<float>(0x7FC00000u);
}

Conversion default_conversion(const Element& element) {
  const bool overflows = element.is_float() && element.non_finite == NonFinite::ieee && element.bits >= 16;
  return {Rounding::rne, overflows ? Overflow::ovf : Overflow::sat};
}

float decode(const Element& element, std::uint32_t code) {
  switch (element.kind) {
    case ElementKind::floating:
      return decode_floating(element, code);
    case ElementKind::exponent:
      return code == element.nan_code() ? canonical_nan() : pow2f(static_cast<int>(code) - element.bias);
    case ElementKind::integer:
      return decode_integer(element, code);
    case ElementKind::codebook:
      break;
  }
  return code < element.codebook.size() ? element.codebook[code] : canonical_nan();
}

std::uint32_t encode(const Element& element, float x, Conversion conversion, std::uint32_t word) {
  const std::uint32_t code = encode_usual(element, std::bit_cast<std::uint32_t>(x), conversion);
  return code != kUnusual ? code : encode_any(element, x, conversion, word);
}

std::uint32_t encode(const Element& element, double x, Conversion conversion, std::uint32_t word) {
  return encode_any(element, x, conversion, word);
}

float round_to(const Element& element, float x, Conversion conversion, std::uint32_t word) {
  return decode(element, encode(element, x, conversion, word));
}

float round_to(const Element& element, double x, Conversion conversion, std::uint32_t word) {
  return decode(element, encode(element, x, conversion, word));
}

}  // namespace lowbit
