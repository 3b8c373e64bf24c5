#include "sim/weights/scale_search.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "formats/scale_rule.hpp"
#include "sim/model/site_actions.hpp"
#include "sim/weights/clones.hpp"
#include "sim/weights/nearest.hpp"

namespace lowbit::weights {
namespace {

/// |x| less the nearest value of the element under the scale s.
LOWBIT_WEIGHTS_INLINE float error_of(const Nearest& nearest, float x, float inverse, float s) {
  const float magnitude = std::fabs(x);
  return magnitude - nearest(magnitude * inverse, x < 0 ? nearest.negative_max : nearest.max) * s;
}

/// |e|^2.4 = v (v y^4) with v = e^2 and y = v^(-1/5): three Newton steps from a bitwise guess, which needs no division;
/// relative error below 1e-6.
LOWBIT_WEIGHTS_INLINE float power_2_4(float e) {
  const float v = e * e + 1e-37f;
  float y = std::bit_cast<float>(0x4C2B9213 - std::bit_cast<std::int32_t>(v) / 5);
  for (int i = 0; i < 3; ++i) {
    const float square = y * y;
    y *= 1.2f - 0.2f * ((v * y) * (square * square));
  }
  const float square = y * y;
  return v * (v * (square * square));
}

constexpr std::size_t kLanes = 16;

/// Sum over a group, in lanes.
template <class Term>
LOWBIT_WEIGHTS_INLINE double sum_in_lanes(std::size_t n, Term term) {
  float lanes[kLanes] = {};
  const std::size_t whole = n / kLanes * kLanes;
  for (std::size_t first = 0; first < whole; first += kLanes)
    for (std::size_t k = 0; k < kLanes; ++k) lanes[k] += term(first + k);
  for (std::size_t i = whole; i < n; ++i) lanes[i - whole] += term(i);
  for (std::size_t half = kLanes / 2; half > 0; half /= 2)
    for (std::size_t k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  return lanes[0];
}
LOWBIT_WEIGHTS_CLONES double sum_squares(const Nearest& nearest, const float* x, std::size_t n, float s) {
  const float inverse = 1 / s;
  return sum_in_lanes(
      n, [=](std::size_t i) __attribute__((always_inline)) {
        const float e = error_of(nearest, x[i], inverse, s);
        return e * e;
      });
}
LOWBIT_WEIGHTS_CLONES double sum_powers_2_4(const Nearest& nearest, const float* x, std::size_t n, float s) {
  const float inverse = 1 / s;
  return sum_in_lanes(
      n, [=](std::size_t i) __attribute__((always_inline)) { return power_2_4(error_of(nearest, x[i], inverse, s)); });
}

class GroupError {
 public:
  GroupError(const Format& format, double power) : nearest_(format), power_(power) {}

  double operator()(const float* x, std::size_t n, float s) const {
    if (power_ == 2) return sum_squares(nearest_, x, n, s);
    if (power_ == 2.4) return sum_powers_2_4(nearest_, x, n, s);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += std::pow(std::fabs(error_of(nearest_, x[i], 1 / s, s)), power_);
    return sum;
  }
  /// Error that clipping alone leaves on the largest magnitude: it grows as s falls.
  double clipped(float amax, float s) const {
    const float top = std::max(nearest_.max, nearest_.negative_max);
    return amax > top * s ? std::pow(static_cast<double>(amax - top * s), power_) : 0;
  }

 private:
  Nearest nearest_;
  double power_;
};

double stored_error(const GroupScales& scales, const GroupScale& scale, const float* x, std::size_t n, double power) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t code;
    float y;
    scales.quantizer().encode(scale.state, x + i, 1, nullptr, &code);
    scales.quantizer().decode(scale.state, &code, 1, &y);
    sum += std::pow(std::fabs(static_cast<double>(x[i]) - y), power);
  }
  return sum;
}

GroupScale search_power_of_two(const GroupScales& scales, const float* x, std::size_t n, double power) {
  const GroupScale whole = scales.absmax(x, n);
  if (whole.state.kind != GroupState::regular || whole.code == 0) return whole;
  const GroupScale half = scales.from_code(whole.code - 1);
  return stored_error(scales, half, x, n, power) < stored_error(scales, whole, x, n, power) ? half : whole;
}

}  // namespace

GroupScale search_scale(const GroupScales& scales, const Format& format, const float* x, std::size_t n, double power,
                        const SearchOptions& options) {
  if (scales.power_of_two()) return search_power_of_two(scales, x, n, power);
  const float widest = scales.unrounded(x, n);
  if (!(widest > 1e-30f)) return scales.absmax(x, n);
  const GroupError error(format, power);
  const float amax = group_maximum(x, n).amax;
  double best = error(x, n, widest);
  int at = 0;
  for (int i = 1; i < options.steps; ++i) {
    const float s = static_cast<float>(widest * (1 - options.step * i));
    if (error.clipped(amax, s) >= best) break;
    const double e = error(x, n, s);
    if (e < best) best = e, at = i;
  }
  return at == 0 ? scales.absmax(x, n) : scales.rounded(widest * (1 - options.step * at));
}

GroupScale nearest_code_scale(const GroupScales& scales, const Format& format, const float* x, std::size_t n) {
  const GroupScale widest = scales.absmax(x, n);
  const float amax = group_maximum(x, n).amax;
  if (widest.state.kind != GroupState::regular) return widest;
  const GroupError error(format, 2);
  const auto of = [&](const GroupScale& s) { return error(x, n, static_cast<float>(s.state.step)); };
  GroupScale best = widest;
  double least = of(widest);
  for (std::uint32_t code = widest.code; code-- > 1;) {
    const GroupScale scale = scales.from_code(code);
    if (scale.state.kind != GroupState::regular || scale.state.step < 0.2 * widest.state.step ||
        error.clipped(amax, static_cast<float>(scale.state.step)) >= least)
      break;
    if (const double e = of(scale); e < least) least = e, best = scale;
  }
  return best;
}

float alternate_scales(GroupScales scales, const Format& format, model::ConstRows w, Threads& threads,
                       const SearchOptions& options) {
  const std::size_t group = format.group == GroupKind::channel ? w.columns : format.group_size;
  double last = 0;
  float best_multiplier = scales.multiplier();
  if (!(best_multiplier > 0)) return best_multiplier;
  const std::size_t pieces = (w.rows + model::kRowPiece - 1) / model::kRowPiece;
  for (int round = 0; round < options.rounds; ++round) {
    // least squares of x on v = code value x scale code value: x ~ t v
    std::vector<double> products(pieces), squares(pieces), errors(pieces);
    const float t = scales.multiplier();
    model::for_row_pieces(w.rows, threads, [&](std::size_t first, std::size_t count) {
      double product = 0, square = 0, error = 0;
      for (std::size_t i = first; i < first + count; ++i)
        for (std::size_t begin = 0; begin < w.columns; begin += group) {
          const std::size_t n = std::min(group, w.columns - begin);
          const float* x = w.row(i) + begin;
          const GroupScale scale = nearest_code_scale(scales, format, x, n);
          for (std::size_t c = 0; c < n; ++c) {
            std::uint32_t code;
            float y;
            scales.quantizer().encode(scale.state, x + c, 1, nullptr, &code);
            scales.quantizer().decode(scale.state, &code, 1, &y);
            const double v = static_cast<double>(y) / t;
            product += v * x[c];
            square += v * v;
            error += (x[c] - static_cast<double>(y)) * (x[c] - static_cast<double>(y));
          }
        }
      products[first / model::kRowPiece] = product;
      squares[first / model::kRowPiece] = square;
      errors[first / model::kRowPiece] = error;
    });
    double product = 0, square = 0, error = 0;
    for (std::size_t p = 0; p < pieces; ++p) product += products[p], square += squares[p], error += errors[p];
    if (round > 0 && !(error < last)) break;  // the last step did not help: keep the one before
    best_multiplier = t;
    if (round > 0 && last - error < options.least_gain * last) break;
    last = error;
    if (!(square > 0)) break;
    scales.set_tensor_scale(static_cast<float>(product / square));
  }
  return best_multiplier;
}

}  // namespace lowbit::weights
