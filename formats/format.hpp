// A format: an element together with everything that decides which bits come out of a tensor. Parsed from and printed
// as a name, for example "mxfp4", "int4:g128:s=fp16:asym", "e2m1:g16:s=e4m3:ts=fp32" (options: name_option.cpp).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/element.hpp"
#include "formats/rounding.hpp"

namespace lowbit {

enum class GroupKind {
  none,     ///< plain cast, no scale
  size,     ///< gN: N consecutive values along the quantised axis
  channel,  ///< all values along the axis at one position of the others
  tensor,   ///< the whole tensor
  tile      ///< tileRxC: R positions of the row axis times C along the quantised axis
};

/// How a scale is made from the block. amax for everything but power-of-two (E8M0) scales and ternary.
enum class ScaleRule {
  amax,                                                 ///< amax / max, rounded to the scale element
  floor, ceil, ceil_pow2, even,                         ///< E8M0: scale_rule.hpp
  floor_ratio, round,                                   ///< like=int_vs_fp only
  twn, absmax, absmean, grid                            ///< ternary
};

enum class SecondLevel { none, fp32, e8m0 };                ///< ts=
enum class ZeroPoint { none, integer, minimum };            ///< asym, min
enum class IntegerRange { symmetric, full, pow2, half };    ///< default, full, range=pow2 (/2^(b-1)), range=half (/7.5)
enum class NanPolicy { poison, ignore };

/// A fully resolved format. Value semantics; equal formats are those that give the same bits: every field but `preset`.
struct Format {
  const Element* element = nullptr;
  GroupKind group = GroupKind::none;
  std::size_t group_size = 0;                ///< size: N; tile: C
  std::size_t tile_rows = 0;                 ///< tile: R
  const Element* scale_element = nullptr;    ///< nullptr: no scale (plain cast)
  ScaleRule rule = ScaleRule::amax;
  SecondLevel second_level = SecondLevel::none;
  ZeroPoint zero_point = ZeroPoint::none;
  const Element* zero_element = nullptr;     ///< minimum: element in which the minimum is stored
  IntegerRange range = IntegerRange::symmetric;
  Conversion conversion;
  std::uint64_t seed = 0;                    ///< stochastic rounding
  bool flush = false;                        ///< FP32-subnormal inputs count as zero
  NanPolicy nan = NanPolicy::poison;
  std::string like;                          ///< named public implementation, or empty
  std::string preset;                        ///< preset that the name started from, or empty; only printing uses it

  /// The element that says which codes are emitted: the full-range row of an integer under full, range=pow2 or half.
  const Element& code_element() const;
  bool is_block() const { return group != GroupKind::none; }
  /// Average stored bits per value, scales, zero points and minima included, for groups that are full; second-level
  /// scales (32 bits a tensor) are not counted. channel and tensor groups: bits of the element alone.
  double bits_per_value() const;
  /// Stored bits that the values of a group share: scale, zero point or minimum; 0 without groups.
  double group_bits() const;
  bool operator==(const Format&) const;
};

struct Preset {
  std::string_view name;
  std::string_view expansion;    ///< the same in elements and options
  std::string_view description;  ///< one line for tables
  std::string_view source;       ///< specification or paper, section
  std::string_view alias;        ///< accepted on input, or empty
};
std::span<const Preset> presets();
/// The preset of that name or alias, or nullptr.
const Preset* find_preset(std::string_view name);

/// Parses a format name: format := base (":" option)*, base := preset | element; options in any order, each at most
/// once. A bare element is a plain cast; gN, channel, tensor and tileRxC add a scale. Options that the name leaves out:
/// scale: fp32 with rule=amax (ternary: e4m3 with rule=twn; s=e8m0: rule=floor); ts=none; z: the scale element where it
/// is fp16, bf16 or fp32, else fp32; round=rne; fp16, bf16, tf32 and fp32 ovf, all others sat; seed=0; nan=poison.
/// Options of a preset yield to those that the user writes; like= puts that implementation's own defaults in place of
/// both. Not stated in the paper: ThinKV does not give the scale of its ternary groups; twn is our default.
/// Errors: unknown base or option (with "did you mean" and the accepted ones), duplicate or contradictory options,
/// options that the like= implementation does not have.
Format parse_format(std::string_view name);

/// Canonical short name: parse_format(print(f)) == f. A preset prints as its name plus the options that differ from it.
std::string to_string(const Format& format);

/// Canonical long form: the element and every option that matters, defaults included; parses to an equal format up to
/// `preset`.
std::string long_form(const Format& format);

/// Names that a "did you mean" may offer: presets and elements.
std::vector<std::string> format_bases();

/// The candidate nearest to `word` in edit distance, if near enough to be meant.
std::optional<std::string> did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace lowbit
