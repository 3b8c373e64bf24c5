#include <algorithm>
#include <cmath>

#include "formats/like/groups.hpp"
#include "formats/like/microxcaling.hpp"
#include "formats/like/options.hpp"

namespace lowbit::like {

MicroxElement microx_element(const Element& element) {
  const float max = static_cast<float>(element.max());
  if (element.is_float()) return {element.exponent_bits, element.mantissa_bits + 2, element.emax(), max};
  return {0, element.bits, 0, std::ldexp(max, 2 - element.bits)};
}

void resolve_microxcaling(Format& format, std::span<const std::string> given, std::string_view name,
                          std::initializer_list<Rounding> roundings, std::string_view detail) {
  if (!is_given(given, "round")) format.conversion.rounding = Rounding::rna;
  const bool known_rounding =
      std::find(roundings.begin(), roundings.end(), format.conversion.rounding) != roundings.end();
  const bool groups = format.group == GroupKind::size || format.group == GroupKind::channel;
  require_one_of(format, name, kMicroxcalingFormats,
                 kOpenFlush | (known_rounding ? kOpenRounding : 0u) | (groups ? kOpenGroup : 0u), detail);
}

}  // namespace lowbit::like
