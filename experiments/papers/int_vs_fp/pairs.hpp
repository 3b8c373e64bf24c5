// The four pairs that the paper compares, as format names.
#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "formats/format.hpp"

namespace lowbit::int_vs_fp {

/// An integer and a float format of the same width and scale.
struct Pair {
  std::string_view name, integer, floating;
  std::size_t group;  ///< values per scale in the paper
};

/// E8M0 scales are rounded up (eq. 9: rule=ceil), NV formats carry an E4M3 scale and a float tensor scale.
inline constexpr std::array<Pair, 4> kPairs{{{"mx8", "mxint8", "mxfp8_e4m3", 32},
                                             {"mx6", "mxint6", "mxfp6_e2m3", 32},
                                             {"mx4", "mxint4", "mxfp4", 32},
                                             {"nv4", "nvint4", "nvfp4", 16}}};

/// The pair of that name; asserts that there is one.
const Pair& pair_of(std::string_view name);

/// Name of a preset as this paper uses it: `preset` with rule=ceil where its scale is a power of two, and with `group`
/// (0: the preset's own; any other number of values: gN; kWholeAxis: one scale per channel).
inline constexpr std::size_t kWholeAxis = static_cast<std::size_t>(-1);
std::string paper_format(std::string_view preset, std::size_t group = 0);

}  // namespace lowbit::int_vs_fp
