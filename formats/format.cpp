#include "formats/format.hpp"

namespace lowbit {
namespace {

/// Bits that a scale or minimum takes in memory: whole bytes (UE4M3 has 7 bits in a byte, TF32 19 in a word).
double stored_bits(const Element& element) {
  return element.bits <= 8 ? 8 : element.bits <= 16 ? 16 : 32;
}

}  // namespace

const Element& Format::code_element() const {
  return range == IntegerRange::symmetric ? *element : full_range(*element);
}

double Format::group_bits() const {
  if (group == GroupKind::none) return 0;
  double shared = stored_bits(*scale_element);
  if (zero_point == ZeroPoint::integer) shared += element->bits;
  if (zero_point == ZeroPoint::minimum) shared += stored_bits(*zero_element);
  return shared;
}

double Format::bits_per_value() const {
  const double bits = element->bits;
  if (group != GroupKind::size && group != GroupKind::tile) return bits;
  const double values = static_cast<double>(group_size) * static_cast<double>(group == GroupKind::tile ? tile_rows : 1);
  return bits + group_bits() / values;
}

bool Format::operator==(const Format& other) const {
  return element == other.element && group == other.group && group_size == other.group_size &&
         tile_rows == other.tile_rows && scale_element == other.scale_element && rule == other.rule &&
         second_level == other.second_level && zero_point == other.zero_point && zero_element == other.zero_element &&
         range == other.range && conversion.rounding == other.conversion.rounding &&
         conversion.overflow == other.conversion.overflow && seed == other.seed && flush == other.flush &&
         nan == other.nan && like == other.like;
}

}  // namespace lowbit
