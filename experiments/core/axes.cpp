#include "experiments/core/axes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <stdexcept>

#include "experiments/core/command_line.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kLongestList = 1000000;

/// The double nearest to v's 12 significant decimal digits: 0.1 * 3 becomes 0.3, whatever the C library rounds.
double tidy(double v) {
  const std::string digits = fmt::format("{:.11e}", v);
  double result = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), result);
  return result == 0 ? 0.0 : result;
}

}  // namespace

double Value::real() const {
  if (const auto* d = std::get_if<double>(&v_)) return *d;
  if (const auto* i = std::get_if<std::int64_t>(&v_)) return static_cast<double>(*i);
  throw std::logic_error(fmt::format("'{}' is read as a number", print()));
}

std::int64_t Value::integer() const {
  if (const auto* i = std::get_if<std::int64_t>(&v_)) return *i;
  throw std::logic_error(fmt::format("'{}' is read as an integer", print()));
}

const std::string& Value::text() const {
  if (const auto* s = std::get_if<std::string>(&v_)) return *s;
  throw std::logic_error(fmt::format("'{}' is read as a text", print()));
}

std::string Value::print() const {
  return std::visit([](const auto& v) { return fmt::format("{}", v); }, v_);
}

std::string Value::seed_text() const {
  if (const auto* d = std::get_if<double>(&v_)) return fmt::format("{:016x}", std::bit_cast<std::uint64_t>(*d + 0.0));
  return print();
}

bool Value::operator==(const Value& other) const {
  if (kind() == Kind::text || other.kind() == Kind::text) return v_ == other.v_;
  return real() == other.real();
}

Domain at_least(double min) {
  return {.min = min};
}
Domain between(double min, double max) {
  return {.min = min, .max = max};
}
Domain one_of(std::vector<std::string> choices) {
  return {.choices = std::move(choices)};
}
Domain checked(std::function<std::string(const std::string&)> canonical) {
  return {.canonical = std::move(canonical)};
}

Domain input_path() {
  Domain domain;
  domain.input = true;
  return domain;
}

Values numbers(std::vector<double> list) {
  return {Kind::real, {list.begin(), list.end()}, {}};
}

Values linspace(double first, double last, std::size_t count) {
  if (count < 2) throw std::logic_error("linspace needs at least 2 values");
  Values values{Kind::real, {}, {}};
  for (std::size_t i = 0; i < count; ++i)
    values.list.emplace_back(tidy(first + (last - first) * (static_cast<double>(i) / static_cast<double>(count - 1))));
  return values;
}

Values logspace(double first, double last, std::size_t count) {
  if (count < 2 || first <= 0 || last <= 0)
    throw std::logic_error("logspace needs at least 2 values and positive ends");
  Values values{Kind::real, {}, {}};
  for (std::size_t i = 0; i < count; ++i)
    values.list.emplace_back(
        tidy(first * std::pow(last / first, static_cast<double>(i) / static_cast<double>(count - 1))));
  return values;
}

Values integers(std::vector<std::int64_t> list) {
  return {Kind::integer, {list.begin(), list.end()}, {}};
}

Values indices(std::size_t count) {
  Values values{Kind::integer, {}, between(0, static_cast<double>(count) - 1)};
  for (std::size_t i = 0; i < count; ++i) values.list.emplace_back(static_cast<std::int64_t>(i));
  return values;
}

Values texts(std::vector<std::string> list) {
  Domain closed = one_of(list);
  return texts(std::move(list), std::move(closed));
}

Values texts(std::vector<std::string> list, Domain domain) {
  return {Kind::text, {list.begin(), list.end()}, std::move(domain)};
}

namespace {

Value check_value(Value value, Kind kind, const Domain& domain, std::string_view place) {
  if (kind == Kind::real && value.kind() == Kind::integer) value = Value(value.real());
  if (value.kind() != kind)
    throw_error(ExitCode::usage, "{}: '{}' is not {}", place, value.print(),
                kind == Kind::text      ? "a text"
                : kind == Kind::integer ? "an integer"
                                        : "a number");
  if (kind != Kind::text) {
    parse_real(value.print(), place, domain.min, domain.max);
    return value;
  }
  if (value.text().find_first_of("\n\r\t") != std::string::npos)
    throw_error(ExitCode::usage, "{}: a text with a line break or tab is not accepted", place);
  if (value.text().starts_with(' ') || value.text().ends_with(' '))
    throw_error(ExitCode::usage, "{}: '{}' has a blank at its end, which a configuration does not keep", place,
                value.text());
  if (!domain.choices.empty() &&
      std::find(domain.choices.begin(), domain.choices.end(), value.text()) == domain.choices.end())
    throw_error(ExitCode::usage, "{}: '{}'{}", place, value.text(), suggestion(value.text(), domain.choices));
  if (!domain.canonical) return value;
  try {
    return domain.canonical(value.text());
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", place, e.what()), e.code());
  }
}

/// LO:HI:STEP of reals.
void add_range(std::vector<Value>& list, std::string_view text, Kind kind, std::string_view place) {
  const std::size_t first = text.find(':'), second = text.find(':', first + 1);
  if (second == std::string_view::npos || text.find(':', second + 1) != std::string_view::npos)
    throw_error(ExitCode::usage, "{}: '{}' is not accepted; a range is LO:HI:STEP", place, text);
  const double lo = parse_real(text.substr(0, first), place);
  const double hi = parse_real(text.substr(first + 1, second - first - 1), place);
  const double step = parse_real(text.substr(second + 1), place);
  const double count = std::floor((hi - lo) / step * (1 + 1e-12) + 1e-9) + 1;
  if (step == 0 || !(count >= 1) || count > static_cast<double>(kLongestList))
    throw_error(ExitCode::usage, "{}: range '{}' has no value or more than {}", place, text, kLongestList);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const double v = tidy(lo + step * static_cast<double>(i));
    if (kind == Kind::integer && v != std::floor(v))
      throw_error(ExitCode::usage, "{}: range '{}' holds {}, which is no integer", place, text, v);
    list.push_back(kind == Kind::integer ? Value(static_cast<std::int64_t>(v)) : Value(v));
  }
}

/// LO-HI, LO-HI+STEP, LO-HI*FACTOR of non-negative integers.
void add_integers(std::vector<Value>& list, std::string_view text, Kind kind, std::string_view place) {
  constexpr std::int64_t kMax = std::int64_t{1} << 53;
  const std::size_t dash = text.find('-');
  const std::size_t sign = text.find_first_of("+*", dash);
  const std::int64_t lo = parse_integer(text.substr(0, dash), place, 0, kMax);
  const std::int64_t hi =
      parse_integer(text.substr(dash + 1, sign == text.npos ? text.npos : sign - dash - 1), place, lo, kMax);
  const bool factor = sign != text.npos && text[sign] == '*';
  const std::int64_t step = sign == text.npos ? 1 : parse_integer(text.substr(sign + 1), place, factor ? 2 : 1, kMax);
  if (factor && lo == 0) throw_error(ExitCode::usage, "{}: '{}' cannot grow from 0 by multiplication", place, text);
  for (std::int64_t v = lo; v <= hi;) {
    if (list.size() >= kLongestList)
      throw_error(ExitCode::usage, "{}: '{}' has more than {} values", place, text, kLongestList);
    list.push_back(kind == Kind::integer ? Value(v) : Value(static_cast<double>(v)));
    if (factor && v > hi / step) break;
    v = factor ? v * step : v + step;
  }
}

bool is_integer_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == 0 || dash == text.npos || dash + 1 == text.size()) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '*'; });
}

}  // namespace

Value parse_value(std::string_view text, Kind kind, const Domain& domain, std::string_view place) {
  if (kind == Kind::text) return check_value(Value(std::string(text)), kind, domain, place);
  if (kind == Kind::real) return Value(parse_real(text, place, domain.min, domain.max) + 0.0);
  constexpr std::int64_t kEdge = std::int64_t{1} << 53;  // beyond, a double cannot tell integers apart
  const auto bound = [](double v, std::int64_t none) { return std::isinf(v) ? none : static_cast<std::int64_t>(v); };
  const std::int64_t value =
      parse_integer(text, place, bound(std::ceil(domain.min), std::numeric_limits<std::int64_t>::min()),
                    bound(std::floor(domain.max), std::numeric_limits<std::int64_t>::max()));
  return Value(parse_integer(fmt::to_string(value), place, -kEdge, kEdge));
}

std::vector<Value> parse_list(std::string_view text, Kind kind, const Domain& domain, std::string_view place) {
  std::vector<Value> list;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, comma - begin);
    if (item.empty()) throw_error(ExitCode::usage, "{}: '{}' has an empty item; a list is a,b,c", place, text);
    if (kind != Kind::text && item.find(':') != item.npos)
      add_range(list, item, kind, place);
    else if (kind != Kind::text && is_integer_range(item))
      add_integers(list, item, kind, place);
    else
      list.push_back(parse_value(item, kind, domain, place));
    begin = comma + 1;
  }
  return check_values(std::move(list), kind, domain, place);
}

std::vector<Value> check_values(std::vector<Value> list, Kind kind, const Domain& domain, std::string_view place) {
  if (list.empty()) throw_error(ExitCode::usage, "{}: the list is empty", place);
  std::set<std::string> seen;
  for (Value& value : list) {
    value = check_value(std::move(value), kind, domain, place);
    if (!seen.insert(value.seed_text()).second)
      throw_error(ExitCode::usage, "{}: '{}' is given twice", place, value.print());
  }
  return list;
}

std::string print_list(const std::vector<Value>& list) {
  std::string out;
  for (const Value& value : list) out += (out.empty() ? "" : ",") + value.print();
  return out;
}

}  // namespace lowbit
