#include "formats/element.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "formats/codec.hpp"
#include "formats/error.hpp"
#include "formats/format.hpp"

namespace lowbit {
namespace {

std::uint32_t codebook_argmax(std::span<const float> values) {
  return static_cast<std::uint32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

std::uint32_t codebook_zero(std::span<const float> values) {
  return static_cast<std::uint32_t>(std::find(values.begin(), values.end(), 0.0f) - values.begin());
}

double smallest_positive(std::span<const float> values) {
  double smallest = 0;
  for (const float value : values) {
    if (value > 0 && (smallest == 0 || value < smallest)) smallest = value;
  }
  return smallest;
}

}  // namespace

bool Element::codebook_has_negative_zero() const {
  return std::any_of(codebook.begin(), codebook.end(), [](float value) { return value == 0 && std::signbit(value); });
}

std::uint32_t Element::other_max_code() const {
  if (kind == ElementKind::exponent) return (1u << bits) - 2;
  return kind == ElementKind::integer ? static_cast<std::uint32_t>(q_max) : codebook_argmax(codebook);
}

std::uint32_t Element::nan_code() const {
  switch (kind) {
    case ElementKind::exponent:
      return (1u << bits) - 1;
    case ElementKind::integer:
      return 0;
    case ElementKind::codebook:
      return codebook_zero(codebook);
    case ElementKind::floating:
      break;
  }
  switch (non_finite) {
    case NonFinite::ieee:
      return max_code() + 1 + (1u << (mantissa_bits - 1));
    case NonFinite::fn:
      return max_code() + 1;
    case NonFinite::fnuz:
      return sign_bit();
    case NonFinite::none:
      break;
  }
  return max_code();
}

double Element::max() const {
  return decode(*this, max_code());
}

double Element::min() const {
  switch (kind) {
    case ElementKind::exponent:
      return decode(*this, 0);
    case ElementKind::integer:
      return q_min;
    case ElementKind::codebook:
      return *std::min_element(codebook.begin(), codebook.end());
    case ElementKind::floating:
      break;
  }
  return is_signed ? -max() : 0.0;
}

int Element::emax() const {
  return std::ilogb(max());
}

double Element::min_normal() const {
  if (is_float()) return std::ldexp(1.0, 1 - bias);
  return min_subnormal();
}

double Element::min_subnormal() const {
  switch (kind) {
    case ElementKind::exponent:
      return decode(*this, 0);
    case ElementKind::integer:
      return 1;
    case ElementKind::codebook:
      return smallest_positive(codebook);
    case ElementKind::floating:
      break;
  }
  return std::ldexp(1.0, 1 - bias - mantissa_bits);
}

const Element* find_element(std::string_view name) {
  if (name.empty()) return nullptr;
  for (const Element& row : elements()) {
    if (row.name == name || row.alias == name) return &row;
  }
  return nullptr;
}

const Element& element(std::string_view name) {
  if (const Element* found = find_element(name)) return *found;
  std::vector<std::string> names;
  for (const Element& row : elements()) names.emplace_back(row.name);
  const auto near = did_you_mean(name, names);
  throw_error(ExitCode::usage, "element '{}' does not exist{}; accepted: {}", name,
              near ? fmt::format(" (did you mean '{}'?)", *near) : "", fmt::join(names, ", "));
}

const Element& full_range(const Element& integer) {
  if (integer.q_min < -integer.q_max) return integer;
  return element(std::string(integer.name) + "_full");
}

}  // namespace lowbit
