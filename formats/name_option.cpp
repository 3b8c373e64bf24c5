#include "formats/name_option.hpp"

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

#include "formats/error.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit::name {
namespace {

constexpr std::size_t kLargestGroup = std::size_t{1} << 30;

/// One row per key. A key that ends in '=' takes one of `values` (separated by '|'), or what apply() reads if empty.
struct Key {
  std::string_view key;
  Slot slot;
  std::string_view values;
  std::string_view spelling;  ///< in help
};

constexpr std::array kKeys = {
    Key{"channel", Slot::group, "", "channel"},
    Key{"tensor", Slot::group, "", "tensor"},
    Key{"s=", Slot::scale, "", "s=ELEMENT"},
    Key{"rule=", Slot::rule, "", "rule=RULE"},
    Key{"ts=", Slot::second_level, "none|fp32|e8m0", "ts=none|fp32|e8m0"},
    Key{"asym", Slot::zero_point, "", "asym"},
    Key{"min", Slot::zero_point, "", "min"},
    Key{"z=", Slot::zero_element, "", "z=ELEMENT"},
    Key{"full", Slot::range, "", "full"},
    Key{"range=", Slot::range, "pow2|half", "range=pow2|half"},
    Key{"round=", Slot::round, "rne|rna|rtz|rtsm|sr", "round=rne|rna|rtz|rtsm|sr"},
    Key{"seed=", Slot::seed, "", "seed=N"},
    Key{"sat", Slot::overflow, "", "sat"},
    Key{"ovf", Slot::overflow, "", "ovf"},
    Key{"flush", Slot::flush, "", "flush"},
    Key{"nan=", Slot::nan, "poison|ignore", "nan=poison|ignore"},
    Key{"like=", Slot::like, "", "like=NAME"},
};

std::vector<std::string> split(std::string_view list, char separator) {
  std::vector<std::string> pieces;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(separator, begin), list.size());
    pieces.emplace_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return pieces;
}

std::string suggestion(std::string_view word, std::span<const std::string> candidates) {
  const auto near = did_you_mean(word, candidates);
  return near ? fmt::format(" (did you mean '{}'?)", *near) : "";
}

/// Decimal digits only, no sign, no blanks.
template <class Integer>
std::optional<Integer> parse_number(std::string_view digits) {
  Integer number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  return number;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::size_t parse_extent(std::string_view digits, std::string_view text) {
  const auto extent = parse_number<std::size_t>(digits);
  if (!extent || *extent < 1 || *extent > kLargestGroup) {
    throw_error(ExitCode::usage, "{}: a group extent is a number from 1 to {} (or use channel, tensor)", quoted(text),
                kLargestGroup);
  }
  return *extent;
}

Option parse_group(std::string_view text) {
  if (text.starts_with("tile")) {
    const std::string_view extents = text.substr(4);
    const std::size_t cross = extents.find('x');
    if (cross == std::string_view::npos)
      throw_error(ExitCode::usage, "{}: accepted: tileRxC, for example tile16x16", quoted(text));
    const std::size_t rows = parse_extent(extents.substr(0, cross), text);
    const std::size_t columns = parse_extent(extents.substr(cross + 1), text);
    const std::string value = fmt::format("{}x{}", rows, columns);
    return {Slot::group, "tile", value, "tile" + value};
  }
  const std::string value = std::to_string(parse_extent(text.substr(1), text));
  return {Slot::group, "g", value, "g" + value};
}

[[noreturn]] void unknown_option(std::string_view text) {
  std::vector<std::string> keys = {"tile"};
  for (const Key& row : kKeys) keys.emplace_back(row.key);
  const std::size_t equals = text.find('=');
  const std::string_view key = text.substr(0, equals == std::string_view::npos ? text.size() : equals + 1);
  throw_error(ExitCode::usage, "unknown option {}{}; accepted: {}", quoted(text), suggestion(key, keys),
              accepted_options());
}

void check_value(const Key& row, std::string_view value, std::string_view text) {
  const std::vector<std::string> accepted = split(row.values, '|');
  if (std::find(accepted.begin(), accepted.end(), value) != accepted.end()) return;
  throw_error(ExitCode::usage, "{}: no such value{}; accepted: {}", quoted(text), suggestion(value, accepted),
              fmt::join(accepted, ", "));
}

const Element& scale_element(const std::string& value) {
  const Element* found = find_element(value);
  std::vector<std::string> accepted;
  for (const Element& row : elements()) {
    if (row.has_nan()) accepted.emplace_back(row.name);
  }
  if (found && found->has_nan()) return *found;
  throw_error(ExitCode::usage, "s={}: {}{}; accepted: {}", quoted(value),
              found ? "a scale element needs a NaN, which marks a poisoned block" : "no such element",
              found ? "" : suggestion(value, accepted), fmt::join(accepted, ", "));
}

const Element& zero_element(const std::string& value) {
  const Element* found = find_element(value);
  std::vector<std::string> accepted;
  for (const Element& row : elements()) {
    if (row.is_float() && row.is_signed) accepted.emplace_back(row.name);
  }
  if (found && found->is_float() && found->is_signed) return *found;
  throw_error(ExitCode::usage, "z={}: {}{}; accepted: {}", quoted(value),
              found ? "a minimum is stored in a signed float" : "no such element",
              found ? "" : suggestion(value, accepted), fmt::join(accepted, ", "));
}

ScaleRule rule_of(const std::string& value) {
  if (const ScaleRuleRow* row = find_scale_rule(value)) return row->rule;
  std::vector<std::string> accepted;
  for (const ScaleRuleRow& row : scale_rules()) accepted.emplace_back(row.name);
  throw_error(ExitCode::usage, "rule={}: no such rule{}; accepted: {}", quoted(value), suggestion(value, accepted),
              fmt::join(accepted, ", "));
}

/// Position of `value` in the '|' list of the key: the enumerations are declared in that order.
template <class Enum>
Enum enum_of(std::string_view key, std::string_view value) {
  for (const Key& row : kKeys) {
    if (row.key != key) continue;
    const auto accepted = split(row.values, '|');
    return static_cast<Enum>(std::find(accepted.begin(), accepted.end(), value) - accepted.begin());
  }
  return Enum{};
}

template <class Enum>
std::string name_of(std::string_view key, Enum value) {
  for (const Key& row : kKeys) {
    if (row.key == key) return split(row.values, '|').at(static_cast<std::size_t>(value));
  }
  return {};
}

void apply_group(const Option& option, Format& format) {
  format.group_size = format.tile_rows = 0;
  if (option.key == "g") {
    format.group = GroupKind::size;
    format.group_size = *parse_number<std::size_t>(option.value);
  } else if (option.key == "tile") {
    const std::size_t cross = option.value.find('x');
    format.group = GroupKind::tile;
    format.tile_rows = *parse_number<std::size_t>(std::string_view(option.value).substr(0, cross));
    format.group_size = *parse_number<std::size_t>(std::string_view(option.value).substr(cross + 1));
  } else {
    format.group = option.key == "channel" ? GroupKind::channel : GroupKind::tensor;
  }
}

std::string group_text(const Format& format) {
  switch (format.group) {
    case GroupKind::size:
      return fmt::format("g{}", format.group_size);
    case GroupKind::tile:
      return fmt::format("tile{}x{}", format.tile_rows, format.group_size);
    case GroupKind::channel:
      return "channel";
    default:
      return "tensor";
  }
}

}  // namespace

std::string quoted(std::string_view piece) {
  constexpr std::size_t kLongest = 60;
  std::string text = "'";
  for (const char c : piece.substr(0, kLongest)) {
    if (c >= ' ' && c <= '~')
      text += c;
    else
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text + (piece.size() > kLongest ? "...'" : "'");
}

std::string accepted_options() {
  std::string list = "gN, tileRxC";
  for (const Key& row : kKeys) list += fmt::format(", {}", row.spelling);
  return list;
}

Option parse_option(std::string_view text) {
  if (text.empty()) throw_error(ExitCode::usage, "empty option; accepted: {}", accepted_options());
  if (text.size() > 1 && text[0] == 'g' && (is_digit(text[1]) || text[1] == '-')) return parse_group(text);
  if (text.starts_with("tile")) return parse_group(text);
  for (const Key& row : kKeys) {
    if (!row.key.ends_with('=')) {
      if (text == row.key) return {row.slot, std::string(text), "", std::string(text)};
      continue;
    }
    if (!text.starts_with(row.key)) continue;
    std::string value(text.substr(row.key.size()));
    const std::string key(row.key.substr(0, row.key.size() - 1));
    if (!row.values.empty()) check_value(row, value, text);
    if (row.slot == Slot::scale) value = scale_element(value).name;
    if (row.slot == Slot::zero_element) value = zero_element(value).name;
    if (row.slot == Slot::rule) value = scale_rule(rule_of(value)).name;
    if (row.slot == Slot::seed) {
      const auto seed = parse_number<std::uint64_t>(value);
      if (!seed) throw_error(ExitCode::usage, "{}: a seed is a number from 0 to 2^64 - 1", quoted(text));
      value = std::to_string(*seed);
    }
    return {row.slot, key, value, fmt::format("{}={}", key, value)};
  }
  unknown_option(text);
}

void apply(const Option& option, Format& format) {
  switch (option.slot) {
    case Slot::group:
      apply_group(option, format);
      break;
    case Slot::scale:
      format.scale_element = &element(option.value);
      break;
    case Slot::rule:
      format.rule = rule_of(option.value);
      break;
    case Slot::second_level:
      format.second_level = enum_of<SecondLevel>("ts=", option.value);
      break;
    case Slot::zero_point:
      format.zero_point = option.key == "asym" ? ZeroPoint::integer : ZeroPoint::minimum;
      break;
    case Slot::zero_element:
      format.zero_element = &element(option.value);
      break;
    case Slot::range:
      format.range = option.key == "full"     ? IntegerRange::full
                     : option.value == "pow2" ? IntegerRange::pow2
                                              : IntegerRange::half;
      break;
    case Slot::round:
      format.conversion.rounding = enum_of<Rounding>("round=", option.value);
      break;
    case Slot::seed:
      format.seed = *parse_number<std::uint64_t>(option.value);
      break;
    case Slot::overflow:
      format.conversion.overflow = option.key == "sat" ? Overflow::sat : Overflow::ovf;
      break;
    case Slot::flush:
      format.flush = true;
      break;
    case Slot::nan:
      format.nan = enum_of<NanPolicy>("nan=", option.value);
      break;
    case Slot::like:
      format.like = option.value;
      break;
  }
}

Options options_of(const Format& format) {
  std::vector<std::string> texts;
  if (format.is_block()) {
    texts.push_back(group_text(format));
    if (format.scale_element) texts.push_back(fmt::format("s={}", format.scale_element->name));
    texts.push_back(fmt::format("rule={}", scale_rule(format.rule).name));
    texts.push_back("ts=" + name_of("ts=", format.second_level));
    texts.push_back("nan=" + name_of("nan=", format.nan));
  }
  if (format.zero_point != ZeroPoint::none) texts.push_back(format.zero_point == ZeroPoint::integer ? "asym" : "min");
  if (format.zero_element) texts.push_back(fmt::format("z={}", format.zero_element->name));
  if (format.range == IntegerRange::full) texts.push_back("full");
  if (format.range == IntegerRange::pow2) texts.push_back("range=pow2");
  if (format.range == IntegerRange::half) texts.push_back("range=half");
  texts.push_back("round=" + name_of("round=", format.conversion.rounding));
  if (format.conversion.rounding == Rounding::sr) texts.push_back(fmt::format("seed={}", format.seed));
  texts.push_back(format.conversion.overflow == Overflow::sat ? "sat" : "ovf");
  if (format.flush) texts.push_back("flush");
  if (!format.like.empty()) texts.push_back("like=" + format.like);
  Options options;
  for (const std::string& text : texts) {
    const Option option = parse_option(text);
    at(options, option.slot) = option;
  }
  return options;
}

}  // namespace lowbit::name
