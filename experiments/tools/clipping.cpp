#include "experiments/tools/clipping.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/codec.hpp"
#include "formats/primitives.hpp"

namespace lowbit {

ClipCounter::ClipCounter(const Format& format)
    : format_(format), top_(static_cast<float>(format.code_element().max())) {
  if (by_codes()) return;
  float largest = 0, least = 0;
  for (std::uint32_t code = 0; code < format_.code_element().code_count(); ++code) {
    const float value = decode(format_.code_element(), code);
    if (!is_end(code) || std::isinf(value)) continue;
    if (value > largest) largest = value, end_codes_[0] = code;
    if (value < least) least = value, end_codes_[1] = code;
  }
}

/// Ends that are known from scale and element alone: symmetric blocks along the last axis, in groups of 16 and more.
bool ClipCounter::by_codes() const {
  const bool sized = format_.group == GroupKind::size && format_.group_size % kSumLanes == 0;
  return !format_.like.empty() || !sized || format_.zero_point != ZeroPoint::none || format_.code_element().bits > 8;
}

bool ClipCounter::is_end(std::uint32_t code) const {
  const Element& e = format_.code_element();
  if (format_.zero_point != ZeroPoint::none) return code == 0 || code == e.code_count() - 1;
  const float value = decode(*format_.element, code);
  if (e.is_integer()) return value == static_cast<float>(e.q_min) || value == static_cast<float>(e.q_max);
  return std::fabs(value) == top_ || std::isinf(value);
}

std::size_t ClipCounter::count_codes(std::size_t n, const float* x, const float* y, const Quantized& q) const {
  std::size_t clipped = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (x[i] == y[i]) continue;
    const std::uint32_t code = q.code(i);
    const bool cut = format_.zero_point == ZeroPoint::none ? std::fabs(x[i]) > std::fabs(y[i]) || std::isinf(y[i])
                     : code == 0                           ? x[i] < y[i]
                                                           : x[i] > y[i];
    clipped += cut && is_end(code);
  }
  return clipped;
}

void ClipCounter::find_ends(const Quantized& q, std::vector<float>& high, std::vector<float>& low) const {
  const auto quantizer = make_block_quantizer(format_, q.tensor_scale);
  const bool narrow = format_.scale_element->bits <= 8;
  std::vector<Ends> table(narrow ? std::size_t{1} << format_.scale_element->bits : 0);
  std::vector<bool> known(table.size());
  const auto ends_of = [&](std::uint32_t scale) {
    float values[2];
    quantizer->decode(quantizer->restore(scale, 0), end_codes_.data(), 2, values);
    constexpr float kNone = std::numeric_limits<float>::infinity();
    return values[0] == 0 ? Ends{kNone, kNone}
                          : Ends{values[0], -values[1]};  // a scale of 0 gives codes that are no ends
  };
  high.resize(q.scales.size());
  low.resize(q.scales.size());
  for (std::size_t g = 0; g < q.scales.size(); ++g) {
    const std::uint32_t scale = q.scales[g];
    if (narrow && !known[scale]) table[scale] = ends_of(scale), known[scale] = true;
    const Ends ends = narrow ? table[scale] : ends_of(scale);
    high[g] = ends[0];
    low[g] = ends[1];
  }
}

std::size_t ClipCounter::count(const Layout& layout, const float* x, const float* y, const Quantized& q) const {
  const std::size_t n = layout.size(), length = layout.length(), group = format_.group_size;
  if (by_codes() || layout.inner() != 1 || q.scales.empty()) return count_codes(n, x, y, q);
  std::vector<float> high, low;
  find_ends(q, high, low);
  const std::size_t row = length % group == 0 ? n : length, groups = (row + group - 1) / group;
  std::size_t clipped = 0, number = 0;
  for (std::size_t first = 0; first < n; first += row, number += groups)
    clipped += count_beyond(x + first, row, group, high.data() + number, low.data() + number);
  // products that overflow: the value is infinite though its code is an end like others
  const bool overflows = std::any_of(high.begin(), high.end(), [](float v) { return std::isinf(v); }) &&
                         std::any_of(y, y + n, [](float v) { return std::isinf(v); });
  return overflows ? count_codes(n, x, y, q) : clipped;
}

}  // namespace lowbit
