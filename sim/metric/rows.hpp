// Visits a tensor one line of its quantised axis at a time.
#pragma once
#include <cstddef>
#include <vector>

#include "formats/block.hpp"

namespace lowbit {

/// Calls visit(const float* row, std::size_t length) for each position of the other axes, in C order, with the values
/// along the axis of `layout` contiguous. Nothing for an empty tensor.
template <class Visit>
void for_each_row(const Layout& layout, const float* x, Visit&& visit) {
  const std::size_t length = layout.length(), inner = layout.inner();
  if (layout.size() == 0) return;
  std::vector<float> line(inner == 1 ? 0 : length);
  for (std::size_t o = 0; o < layout.outer(); ++o)
    for (std::size_t k = 0; k < inner; ++k) {
      const float* first = x + o * length * inner + k;
      for (std::size_t i = 0; i < line.size(); ++i) line[i] = first[i * inner];
      visit(inner == 1 ? first : line.data(), length);
    }
}

}  // namespace lowbit
