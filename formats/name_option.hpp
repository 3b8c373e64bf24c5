// The options of a format name, one by one: spelling, accepted values, how each is written into a Format.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "formats/format.hpp"

namespace lowbit::name {

/// What an option decides. Options of one slot exclude each other; the order is that of canonical names.
enum class Slot {
  group,
  scale,
  rule,
  second_level,
  zero_point,
  zero_element,
  range,
  round,
  seed,
  overflow,
  flush,
  nan,
  like
};
inline constexpr int kSlots = 13;

struct Option {
  Slot slot;
  std::string key;    ///< "g", "channel", "s", ...
  std::string value;  ///< what follows the key ("32", "8x16", "fp16"), or empty
  std::string text;   ///< as it is printed: "g32", "s=fp16"
};

/// At most one option of each slot.
using Options = std::array<std::optional<Option>, kSlots>;
inline std::optional<Option>& at(Options& options, Slot slot) {
  return options[static_cast<int>(slot)];
}
inline const std::optional<Option>& at(const Options& options, Slot slot) {
  return options[static_cast<int>(slot)];
}

/// A piece of a name that is quoted in an error: printable, one line, at most 60 characters.
std::string quoted(std::string_view piece);

/// Reads "g32", "rule=floor", "sat", ... Error without a prefix: unknown key or value, with the accepted ones.
Option parse_option(std::string_view text);

/// Writes the option's value into the field of its slot.
void apply(const Option& option, Format& format);

/// The options that `format` amounts to, all of them, defaults included; those that its kind does not have are absent.
Options options_of(const Format& format);

/// All options with their values, for errors and help.
std::string accepted_options();

}  // namespace lowbit::name
