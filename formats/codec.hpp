// Decode, round and encode one value: the scalar reference of every element.
#pragma once
#include <cstdint>

#include "formats/element.hpp"
#include "formats/rounding.hpp"

namespace lowbit {

/// The NaN that every routine of lowbit emits (bits 0x7FC00000).
float canonical_nan();

/// Value of a code: exact in float for every element (NaN codes give canonical_nan(); -0 keeps its sign).
/// Bits above element.bits must be zero.
float decode(const Element& element, std::uint32_t code);

/// The conversion of a plain cast that says nothing else: rne; ovf for the IEEE-like elements of 16 bits and more
/// (fp16, bf16, tf32, fp32), sat for all others.
Conversion default_conversion(const Element& element);

/// Code of x under `conversion`. Rounds once, whatever the width of x; the sign of zero is kept where the element has a
/// -0. `word`: 32 random bits, used by Rounding::sr alone.
/// - NaN: Element::nan_code(), the sign of the input dropped: the element's NaN, else +max for E2M1/E2M3/E3M2 (as
///   CUDA's conversions), 0 for integers, the code of zero for codebooks.
/// - Beyond max(): sat gives max(), also for Inf. ovf gives Inf, or NaN where there is no Inf, to Inf itself and to
///   values that round past max() with the next value that would exist as neighbour; rtz never rounds past it (IEEE
///   754, 7.4). Elements without Inf and NaN always saturate. sr draws nothing beyond max(): it decides as rne there.
/// - Rounding::rne: ties to the even code. Codebooks: the neighbours are separated by the float nearest to their
///   midpoint, a value on it is a tie; rne gives it to the lower neighbour (NF4, bitsandbytes FP4) or zero (ternary).
/// - Rounding::sr: away from zero iff word < fraction of the gap * 2^32, the comparison exact.
/// - E8M0: 0, negative values and NaN give NaN (0xFF), positive values below 2^-127 give 2^-127 under every rounding.
/// - UE4M3: negative values that do not round to zero give 0 under sat and rtz, NaN under ovf.
std::uint32_t encode(const Element& element, float x, Conversion conversion = {}, std::uint32_t word = 0);
std::uint32_t encode(const Element& element, double x, Conversion conversion = {}, std::uint32_t word = 0);

/// decode(encode(x)) without forming the code.
float round_to(const Element& element, float x, Conversion conversion = {}, std::uint32_t word = 0);
float round_to(const Element& element, double x, Conversion conversion = {}, std::uint32_t word = 0);

}  // namespace lowbit
