#include "formats/codebook.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace lowbit {
namespace {

/// The distinct values of a codebook in ascending order, +0 for both zeros, and what separates them.
struct SortedCodebook {
  const float* key;  ///< the codebook that this was made of
  std::vector<float> value;
  std::vector<std::uint32_t> code;
  std::vector<float> midpoint;  ///< between value[i] and value[i + 1], rounded to float

  explicit SortedCodebook(std::span<const float> codebook) : key(codebook.data()) {
    for (std::uint32_t c = 0; c < codebook.size(); ++c) {
      if (codebook[c] == 0 && std::signbit(codebook[c])) continue;
      const auto at = std::lower_bound(value.begin(), value.end(), codebook[c]) - value.begin();
      value.insert(value.begin() + at, codebook[c]);
      code.insert(code.begin() + at, c);
    }
    for (std::size_t i = 0; i + 1 < value.size(); ++i) {
      midpoint.push_back(static_cast<float>((double{value[i]} + double{value[i + 1]}) / 2));
    }
  }
};

const SortedCodebook& sorted(const Element& element) {
  static const std::vector<SortedCodebook> all = [] {
    std::vector<SortedCodebook> made;
    for (const Element& row : elements()) {
      if (row.kind == ElementKind::codebook) made.emplace_back(row.codebook);
    }
    return made;
  }();
  return *std::find_if(all.begin(), all.end(),
                       [&](const SortedCodebook& s) { return s.key == element.codebook.data(); });
}

/// Whether word < (a - near) / (far - near) * 2^32, exactly, for near <= a < far: floats near and far are multiples of
/// 2^-31 not above 1, so both sides are compared as multiples of 2^-63.
bool drawn_up(double a, float near, float far, std::uint32_t word) {
  const auto fixed = [](float v) { return static_cast<std::int64_t>(std::ldexp(double{v}, 31)); };
  const __int128 limit = __int128{fixed(far) - fixed(near)} * word + __int128{fixed(near)} * (std::int64_t{1} << 32);
  return limit < static_cast<__int128>(std::ceil(std::ldexp(a, 63)));
}

}  // namespace

std::uint32_t encode_codebook(const Element& element, double x, Rounding rounding, std::uint32_t word) {
  const SortedCodebook& book = sorted(element);
  // 1. The ends of the list saturate.
  std::size_t upper = std::upper_bound(book.value.begin(), book.value.end(), x) - book.value.begin();
  if (upper == 0) return book.code.front();
  if (upper == book.value.size()) return book.code.back();
  // 2. Neighbours value[lower] <= x < value[upper].
  const std::size_t lower = upper - 1;
  std::size_t chosen = lower;
  const double middle = book.midpoint[lower];
  // 3. Choose. "Away from zero" is the upper neighbour for positive x and the lower one for negative x.
  const bool positive = x > 0;
  switch (rounding) {
    case Rounding::rtz:
      chosen = positive || x == book.value[lower] ? lower : upper;
      break;
    case Rounding::sr:
      if (x == book.value[lower]) break;
      chosen = positive ? (drawn_up(x, book.value[lower], book.value[upper], word) ? upper : lower)
                        : (drawn_up(-x, -book.value[upper], -book.value[lower], word) ? lower : upper);
      break;
    default: {
      const bool tie_up = rounding == Rounding::rna    ? positive
                          : rounding == Rounding::rtsm ? !positive
                                                       : !element.ties_down && !positive;
      chosen = x > middle || (x == middle && tie_up) ? upper : lower;
    }
  }
  // 4. A negative value that became zero keeps its sign where the list has a -0.
  if (book.value[chosen] == 0 && std::signbit(x) && element.has_negative_zero())
    return book.code[chosen] | element.sign_bit();
  return book.code[chosen];
}

}  // namespace lowbit
