#include "formats/like/options.hpp"

#include <algorithm>

#include "formats/error.hpp"

namespace lowbit::like {

bool is_given(std::span<const std::string> given, std::string_view key) {
  return std::find(given.begin(), given.end(), key) != given.end();
}

bool is_full_range(const Format& format) {
  return format.range == IntegerRange::full || format.element->q_min < -format.element->q_max;
}

void require_whole_groups(const Format& format, const Layout& layout, std::size_t size) {
  if (size == 0 || layout.length() % size == 0) return;
  throw_error(ExitCode::bad_data, "like={}: the axis has {} values; accepted are multiples of {}", format.like,
              layout.length(), size);
}

}  // namespace lowbit::like
