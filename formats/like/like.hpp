// Named public implementations (like=NAME): whole pipelines that behave bit for bit as somebody's code, quirks included.
// One file each in formats/like; each defines one `const Implementation` and like.cpp lists them.
#pragma once
#include <span>
#include <string_view>

#include "formats/block.hpp"

namespace lowbit::like {

struct Implementation {
  std::string_view name;         ///< value of like=
  std::string_view description;  ///< one line
  std::string_view source;       ///< repository or package, version or commit, and how it was checked
  /// Formats that it has, as canonical names without like= (options that vary are listed as separate entries or accepted
  /// by `resolve`).
  std::span<const std::string_view> formats;
  /// Fills the implementation's own defaults into `format` (`given`: the option keys that the user wrote, which stay: g,
  /// channel, tensor, tile, s, rule, ts, asym, min, z, full, range, round, seed, sat, ovf, flush, nan) and refuses what it
  /// does not have with an Error that lists what it has. A long form gives every key, so refuse by value, not by key.
  void (*resolve)(Format& format, std::span<const std::string> given);
  /// y = what the implementation returns for x; x may be y.
  void (*fake)(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context);
  /// Split form, or nullptr where the implementation has no codes.
  Quantized (*encode)(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context);
  void (*decode)(const Quantized& quantized, float* y);
};

std::span<const Implementation* const> implementations();
/// Error for an unknown name: lists the known ones.
const Implementation& implementation(std::string_view name);

}  // namespace lowbit::like
