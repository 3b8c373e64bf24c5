#include "experiments/tools/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lowbit {
namespace {

constexpr std::size_t kShown = 10;

std::vector<std::size_t> position(const Shape& shape, std::size_t flat) {
  std::vector<std::size_t> index(shape.size());
  for (std::size_t k = shape.size(); k-- > 0; flat /= shape[k]) index[k] = flat % shape[k];
  return index;
}

// Largest finite magnitude of the group that value i lies in.
float block_amax(const Format& format, const Layout& layout, const std::vector<float>& x, std::size_t i) {
  if (!format.is_block()) return std::fabs(x[i]);
  const std::size_t group = group_of(format, layout, i);
  float amax = 0;
  for (std::size_t k = 0; k < x.size(); ++k)
    if (std::isfinite(x[k]) && std::fabs(x[k]) > amax && group_of(format, layout, k) == group) amax = std::fabs(x[k]);
  return amax;
}

// A number as JSON: what JSON cannot say becomes text.
Record number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Record hex(std::uint32_t code) {
  return fmt::format("0x{:02X}", code);
}

struct Sides {
  const Quantized* ours;
  const Quantized* theirs;
};

bool codes_differ(const Sides& s, std::size_t i) {
  return s.ours && s.theirs && s.ours->code(i) != s.theirs->code(i);
}

bool scales_differ(const Sides& s, const Format& format, const Layout& layout, std::size_t i) {
  if (!s.ours || !s.theirs || s.ours->scales.empty()) return false;
  const std::size_t g = group_of(format, layout, i);
  return s.ours->scales[g] != s.theirs->scales[g];
}

Record describe(const Format& format, const TensorInput& input, const std::vector<float>& x, float ours, double theirs,
                const Sides& sides, std::size_t i) {
  const auto scale = [&](const Quantized* q) -> Record {
    return q && !q->scales.empty() ? hex(q->scales[group_of(format, input.layout, i)]) : Record(nullptr);
  };
  const auto code = [&](const Quantized* q) -> Record { return q ? hex(q->code(i)) : Record(nullptr); };
  return {{"index", position(input.layout.shape, i)},
          {"x", number(x[i])},
          {"ours", number(ours)},
          {"theirs", number(theirs)},
          {"block_amax", number(block_amax(format, input.layout, x, i))},
          {"scale", scale(sides.ours)},
          {"their_scale", scale(sides.theirs)},
          {"code", code(sides.ours)},
          {"their_code", code(sides.theirs)}};
}

std::size_t count_unequal(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) count += a[i] != b[i];
  return count;
}

void compare_codes(const Quantized& ours, const Quantized& theirs, Comparison& result) {
  result.differing_codes = 0;
  for (std::size_t i = 0; i < ours.layout.size(); ++i) *result.differing_codes += ours.code(i) != theirs.code(i);
  result.differing_scales = count_unequal(ours.scales, theirs.scales);
  result.differing_zero_points = count_unequal(ours.zero_points, theirs.zero_points);
  result.tensor_scale_differs = ours.tensor_scale != theirs.tensor_scale;
}

}  // namespace

bool same_value(float ours, double theirs) {
  if (std::isnan(ours) || std::isnan(theirs)) return std::isnan(ours) && std::isnan(theirs);
  return static_cast<double>(ours) == theirs && std::signbit(ours) == std::signbit(theirs);
}

std::size_t count_differences(const std::vector<float>& ours, const std::vector<double>& theirs) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) count += !same_value(ours[i], theirs[i]);
  return count;
}

bool Comparison::equal() const {
  return differing_values == 0 && differing_codes.value_or(0) == 0 && differing_scales.value_or(0) == 0 &&
         differing_zero_points.value_or(0) == 0 && !tensor_scale_differs.value_or(false);
}

Comparison compare_results(const Format& format, const TensorInput& input, const std::vector<float>& x,
                           const std::vector<float>& y, const std::optional<Quantized>& q, const Other& other) {
  Comparison result;
  const Sides sides{q ? &*q : nullptr, other.codes ? &other.codes->quantized : nullptr};
  if (sides.ours && sides.theirs) compare_codes(*sides.ours, *sides.theirs, result);
  result.values = y.size();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const bool differs = !same_value(y[i], other.values[i]);
    result.differing_values += differs;
    result.sign_of_zero += differs && y[i] == 0 && other.values[i] == 0;
    if (differs) {
      const double difference = std::fabs(static_cast<double>(y[i]) - other.values[i]);
      if (std::isnan(difference) || difference > result.max_abs_difference) result.max_abs_difference = difference;
    }
    const bool shown = differs || codes_differ(sides, i) || scales_differ(sides, format, input.layout, i);
    if (shown && result.first.size() < kShown)
      result.first.push_back(describe(format, input, x, y[i], other.values[i], sides, i));
  }
  return result;
}

}  // namespace lowbit
