#include "sim/tensor.hpp"

#include <limits>

#include "formats/error.hpp"

namespace lowbit {

std::size_t element_count(const Shape& shape, const std::string& place) {
  constexpr auto kMax = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  std::size_t count = 1;
  bool overflow = false;
  for (const std::size_t extent : shape) {
    if (extent == 0) return 0;
    overflow = overflow || count > kMax / extent;
    count *= extent;
  }
  if (overflow) throw_error(ExitCode::bad_data, "{}: shape {} has more than 2^63 - 1 values", place, to_string(shape));
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace lowbit
