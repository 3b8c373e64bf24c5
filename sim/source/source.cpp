#include "sim/source/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "formats/error.hpp"
#include "sim/portable_math.hpp"
#include "sim/source/families.hpp"

namespace lowbit {
namespace {

constexpr Source::Parameter kNone{"", 0, 0, 0, ""};

constexpr std::array kFamilies{
    Source::Family{"gaussian", {kNone, kNone}, fill_gaussian, "N(0, 1)"},
    Source::Family{"laplace", {kNone, kNone}, fill_laplace, "Laplace, scale 1"},
    Source::Family{"uniform", {kNone, kNone}, fill_uniform, "uniform on [-1, 1)"},
    Source::Family{"t", {{{"dof", 3, 0.5, 1e6, "degrees of freedom"}, kNone}}, fill_student_t, "Student t"},
    Source::Family{"generalised_gaussian",
                   {{{"p", 2, 0.2, 100, "exponent of the density exp(-|x|^p)"}, kNone}},
                   fill_generalised_gaussian,
                   "density proportional to exp(-|x|^p)"},
    Source::Family{"channel_scales",
                   {{{"c", 0.5, 0, 10, "spread of the column scales"}, kNone}},
                   fill_channel_scales,
                   "N(0, 1) times exp(c z_j) in column j, z_j ~ N(0, 1)"},
    Source::Family{"outlier_channels",
                   {{{"gain", 20, 0, 1e6, "factor on the outlier columns"},
                     {"every", 97, 1, 1e9, "columns 0, every, 2 every, ..."}}},
                   fill_outlier_channels,
                   "N(0, 1) with every n-th column multiplied by the gain"},
    Source::Family{"row_outlier",
                   {{{"low", 1, 1e-6, 1e6, "smallest magnitude"}, {"high", 100, 1e-6, 1e6, "largest magnitude"}}},
                   fill_row_outlier,
                   "N(0, 1); value 0 of each row is +-A with A log-uniform on [low, high]"},
};

/// The number `text` of parameter `parameter`, in range.
double parse_value(std::string_view source, const Source::Parameter& parameter, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() ||
      !(value >= parameter.low && value <= parameter.high)) {
    throw_error(ExitCode::usage, "source '{}': {}={} is not a number in [{:g}, {:g}]", source, parameter.key, text,
                parameter.low, parameter.high);
  }
  return value;
}

/// Cuts the text up to the next ':' off the front of `rest`.
std::string_view next_part(std::string_view& rest) {
  const auto colon = rest.find(':');
  const auto part = rest.substr(0, colon);
  rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
  return part;
}

[[noreturn]] void unknown_family(std::string_view name) {
  std::string known;
  for (const auto& family : kFamilies) known += (known.empty() ? "" : ", ") + std::string(family.name);
  throw_error(ExitCode::usage, "unknown source '{}'; known: {}", name, known);
}

[[noreturn]] void unknown_parameter(std::string_view source, const Source::Family& family, std::string_view option) {
  std::string known;
  for (const auto& parameter : family.parameters) {
    if (!parameter.key.empty()) known += fmt::format("{}{}=", known.empty() ? "" : ", ", parameter.key);
  }
  throw_error(ExitCode::usage, "source '{}': unknown or repeated option '{}'; {} takes {}", source, option, family.name,
              known.empty() ? "none" : known);
}

}  // namespace

std::span<const Source::Family> Source::families() {
  return kFamilies;
}

Source Source::parse(std::string_view name) {
  auto rest = name;
  const auto base = next_part(rest);
  const auto family = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const auto& f) { return f.name == base; });
  if (family == kFamilies.end()) unknown_family(name);
  if (name.ends_with(':')) unknown_parameter(name, *family, "");
  Source source;
  source.family_ = &*family;
  for (int i = 0; i < kMaxParameters; ++i) source.values_[i] = family->parameters[i].initial;
  std::array<bool, kMaxParameters> seen{};
  while (!rest.empty()) {
    const auto option = next_part(rest);
    const auto equals = option.find('=');
    const auto key = option.substr(0, equals);
    int i = 0;
    while (i < kMaxParameters && (key.empty() || family->parameters[i].key != key)) ++i;
    if (i == kMaxParameters || seen[i] || equals == std::string_view::npos) unknown_parameter(name, *family, option);
    seen[i] = true;
    source.values_[i] = parse_value(name, family->parameters[i], option.substr(equals + 1));
  }
  return source;
}

std::string Source::name() const {
  std::string text(family_->name);
  for (int i = 0; i < kMaxParameters; ++i) {
    if (!family_->parameters[i].key.empty()) text += fmt::format(":{}={:g}", family_->parameters[i].key, values_[i]);
  }
  return text;
}

void scale_rows(Rng& rng, double spread, std::size_t rows, std::size_t columns, float* x) {
  for (std::size_t r = 0; r < rows; ++r) {
    const double factor = portable_exp(spread * rng.normal());
    for (std::size_t c = 0; c < columns; ++c) x[r * columns + c] = static_cast<float>(x[r * columns + c] * factor);
  }
}

void spread_octave(Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  for (std::size_t r = 0; r < rows; ++r) {
    const double factor = portable_exp(0.6931471805599453 * rng.uniform());
    for (std::size_t c = 0; c < columns; ++c) x[r * columns + c] = static_cast<float>(x[r * columns + c] * factor);
  }
}

}  // namespace lowbit
