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

/// Code of x under `conversion`. Rounds once, whatever the width of x; the sign of zero is kept where the element has a
/// -0. NaN: the element's NaN code with the sign of the input dropped, +max for E2M1/E2M3/E3M2, 0 for integers. `word`: 32 random bits, used by
/// Rounding::sr alone.
std::uint32_t encode(const Element& element, float x, Conversion conversion = {}, std::uint32_t word = 0);
std::uint32_t encode(const Element& element, double x, Conversion conversion = {}, std::uint32_t word = 0);

/// decode(encode(x)) without forming the code.
float round_to(const Element& element, float x, Conversion conversion = {}, std::uint32_t word = 0);
float round_to(const Element& element, double x, Conversion conversion = {}, std::uint32_t word = 0);

}  // namespace lowbit
