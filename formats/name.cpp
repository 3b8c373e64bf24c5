// parse_format and its inverses: base, options, defaults, contradictions, like=.
#include <algorithm>

#include "formats/error.hpp"
#include "formats/format.hpp"
#include "formats/like/like.hpp"
#include "formats/name_check.hpp"
#include "formats/name_option.hpp"

namespace lowbit {
namespace {

using name::at;
using name::Option;
using name::Options;
using name::Slot;

struct Parts {
  std::string_view base;
  std::vector<std::string_view> options;
};

Parts split(std::string_view text) {
  const std::size_t end = std::min(text.find(':'), text.size());
  Parts parts{text.substr(0, end), {}};
  for (std::size_t begin = end; begin < text.size();) {
    const std::size_t next = std::min(text.find(':', begin + 1), text.size());
    parts.options.push_back(text.substr(begin + 1, next - begin - 1));
    begin = next;
  }
  return parts;
}

[[noreturn]] void unknown_base(std::string_view base) {
  std::vector<std::string> bases = format_bases();
  const auto near = did_you_mean(base, bases);
  throw_error(ExitCode::usage, "no such format{}; accepted: {}",
              near ? fmt::format(" (did you mean '{}'?)", *near) : "", fmt::join(bases, ", "));
}

Options parse_options(const std::vector<std::string_view>& texts) {
  Options options;
  for (const std::string_view text : texts) {
    const Option option = name::parse_option(text);
    const std::optional<Option>& earlier = at(options, option.slot);
    if (earlier && earlier->text == option.text) throw_error(ExitCode::usage, "{} is given twice", option.text);
    if (earlier)
      throw_error(ExitCode::usage, "{} and {} contradict each other; accepted: one of them", earlier->text,
                  option.text);
    at(options, option.slot) = option;
  }
  return options;
}

/// Takes out the preset's options that make no sense beside what the user wrote.
void yield_to_user(Options& preset, const Options& user) {
  if (at(user, Slot::scale)) {
    at(preset, Slot::rule).reset();
    const Element& scale = element(at(user, Slot::scale)->value);
    if (!scale.is_float() || scale.exponent_bits > 5) at(preset, Slot::second_level).reset();
  }
  if (const auto& zero = at(user, Slot::zero_point)) {
    at(preset, Slot::range).reset();
    if (zero->key == "asym") at(preset, Slot::zero_element).reset();
  }
}

Options merge(Options preset, const Options& user) {
  yield_to_user(preset, user);
  for (int slot = 0; slot < name::kSlots; ++slot) {
    if (user[slot]) preset[slot] = user[slot];
  }
  return preset;
}

/// The element of a base that is no preset; int8_full is int8 with full.
const Element& base_element(std::string_view base, Options& options) {
  const Element& found = element(base);
  if (!found.is_integer() || found.q_min == -found.q_max) return found;
  if (at(options, Slot::range)) {
    throw_error(ExitCode::usage, "{} and {}: the range is given twice", base, at(options, Slot::range)->text);
  }
  at(options, Slot::range) = name::parse_option("full");
  return element(base.substr(0, base.find('_')));
}

std::vector<std::string> keys_of(const Options& options) {
  std::vector<std::string> keys;
  for (const auto& option : options) {
    if (option) keys.push_back(option->key);
  }
  return keys;
}

/// A preset promises its element, groups and scale: an implementation that lacks it must not read it as another format
/// of the same element (nvint4 is no Q4_0).
void check_preset(const Preset& preset, const like::Implementation& implementation) {
  for (const std::string_view known : implementation.formats)
    if (split(known).base == preset.name) return;
  throw_error(ExitCode::usage, "like={} does not have {}; it has {}", implementation.name, preset.name,
              fmt::join(implementation.formats, ", "));
}

Format assemble(std::string_view text) {
  const Parts parts = split(text);
  const Preset* preset = find_preset(parts.base);
  if (!preset && !find_element(parts.base)) unknown_base(parts.base);
  Options user = parse_options(parts.options);
  Format format;
  Options options;
  if (preset) {
    format.preset = preset->name;
    const Parts expansion = split(preset->expansion);
    options = merge(parse_options(expansion.options), user);
    format.element = &element(expansion.base);
  } else {
    format.element = &base_element(parts.base, user);
    options = user;
  }
  for (const auto& option : options) {
    if (option) name::apply(*option, format);
  }
  name::fill_defaults(options, format);
  name::check(options, format);
  if (format.like.empty()) return format;
  const like::Implementation& implementation = like::implementation(format.like);
  implementation.resolve(format, keys_of(user));
  if (preset) check_preset(*preset, implementation);
  return format;
}

std::string join(std::string_view base, const Options& options) {
  std::string text(base);
  for (const auto& option : options) {
    if (option) text += ":" + option->text;
  }
  return text;
}

/// Whether `text` is a name of `format`.
bool names(const std::string& text, const Format& format) {
  try {
    return assemble(text) == format;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

Format parse_format(std::string_view name) {
  try {
    return assemble(name);
  } catch (const Error& error) {
    throw Error(fmt::format("format {}: {}", name::quoted(name), error.what()), error.code());
  }
}

std::string long_form(const Format& format) {
  return join(format.element->name, name::options_of(format));
}

std::string to_string(const Format& format) {
  // Canonical: of the long form, drop every option without which the name still means the same, in the order of
  // options.
  Options options = name::options_of(format);
  std::string base = format.preset.empty() ? std::string(format.element->name) : format.preset;
  if (!names(join(base, options), format)) base = format.element->name;
  for (auto& option : options) {
    if (!option) continue;
    const Option dropped = *option;
    option.reset();
    if (!names(join(base, options), format)) option = dropped;
  }
  return join(base, options);
}

std::vector<std::string> format_bases() {
  std::vector<std::string> bases;
  for (const Preset& preset : presets()) bases.emplace_back(preset.name);
  for (const Element& row : elements()) bases.emplace_back(row.name);
  return bases;
}

}  // namespace lowbit
