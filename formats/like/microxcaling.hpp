// What the two paths of microsoft/microxcaling share: formats, options, element parameters.
#pragma once
#include <array>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "formats/format.hpp"

namespace lowbit::like {

inline constexpr std::array<std::string_view, 7> kMicroxcalingFormats = {
    "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "mxint8", "mxint4"};

/// An element as _get_format_params describes it.
struct MicroxElement {
  int exponent_bits;  ///< 0 for integers
  int bits;           ///< significand with its implicit bit, and the sign
  int emax;           ///< 0 for integers, whose values are 1.xxx
  float max;
};
MicroxElement microx_element(const Element& element);

/// Fills the defaults (round=rna) and refuses what microxcaling lacks: other elements, rules, roundings than
/// `roundings`, groups other than gN and channel, second-level scales.
void resolve_microxcaling(Format& format, std::span<const std::string> given, std::string_view name,
                          std::initializer_list<Rounding> roundings, std::string_view detail);

}  // namespace lowbit::like
