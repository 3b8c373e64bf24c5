#include "sim/weights/scale_search.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "formats/scale_rule.hpp"
#include "sim/model/site_actions.hpp"

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define LOWBIT_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4"), optimize("O3")))
#else
#define LOWBIT_CLONES
#endif

namespace lowbit::weights {
namespace {

/// What rounding to the nearest value of an element needs.
struct Rounder {
  float max, negative_max;
  std::int32_t lowest;  ///< exponent field of the smallest gap's binade
  std::int32_t shift;   ///< added to a binade's exponent field: 1.0 there has the gap as its last bit
  bool is_float;
};

Rounder rounder_of(const Format& format) {
  const Element& e = *format.element;
  const Element& coded = coded_element(format);
  Rounder r{};
  r.is_float = e.is_float();
  r.max = static_cast<float>(coded.max());
  r.negative_max = static_cast<float>(-coded.min());
  if (!r.is_float) return r;
  r.lowest = std::bit_cast<std::int32_t>(static_cast<float>(e.min_normal())) >> 23;
  r.shift = 23 - e.mantissa_bits;
  return r;
}

/// |x / s| rounded to the element, ties to even, saturating; times s. Adding and subtracting a number whose last bit is
/// the gap of the binade rounds to a multiple of that gap.
inline float error_of(const Rounder& r, float x, float inverse, float s) {
  const float u = std::fabs(x) * inverse;
  const float top = x < 0 ? r.negative_max : r.max;
  float magic = 12582912.0f;
  if (r.is_float) {
    std::int32_t field = std::bit_cast<std::int32_t>(u) >> 23;
    field = field < r.lowest ? r.lowest : field;
    magic = std::bit_cast<float>((field + r.shift) << 23);
  }
  const float rounded = (u + magic) - magic;
  const float q = rounded > top ? top : rounded;
  return std::fabs(x) - q * s;
}

/// |e|^2.4 = (e^2)^1.2: four Newton steps for the fifth root from a bitwise guess, relative error below 1e-6.
inline float power_2_4(float e) {
  const float v = e * e + 1e-37f;
  const std::int32_t guess = 0x32C9A000 + (std::bit_cast<std::int32_t>(v) / 5);
  float y = std::bit_cast<float>(guess);
  for (int i = 0; i < 4; ++i) {
    const float square = y * y;
    y = 0.2f * (4 * y + v / (square * square));
  }
  return v * y;
}

/// 0: squares; 1: |e|^2.4; 2: the general power.
LOWBIT_CLONES double sum_squares(const Rounder& r, const float* x, std::size_t n, float s) {
  const float inverse = 1 / s;
  float sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float e = error_of(r, x[i], inverse, s);
    sum += e * e;
  }
  return sum;
}
LOWBIT_CLONES void powers_2_4(const Rounder& r, const float* x, std::size_t n, float s, float* out) {
  const float inverse = 1 / s;
  for (std::size_t i = 0; i < n; ++i) out[i] = power_2_4(error_of(r, x[i], inverse, s));
}

class GroupError {
 public:
  GroupError(const Format& format, double power) : rounder_(rounder_of(format)), power_(power) {}

  double operator()(const float* x, std::size_t n, float s) const {
    if (power_ == 2) return sum_squares(rounder_, x, n, s);
    double sum = 0;
    float piece[kPiece];
    for (std::size_t first = 0; first < n; first += kPiece) {
      const std::size_t m = std::min(kPiece, n - first);
      if (power_ == 2.4) {
        powers_2_4(rounder_, x + first, m, s, piece);
      } else {
        for (std::size_t i = 0; i < m; ++i)
          piece[i] = static_cast<float>(std::pow(std::fabs(error_of(rounder_, x[first + i], 1 / s, s)), power_));
      }
      for (std::size_t i = 0; i < m; ++i) sum += piece[i];
    }
    return sum;
  }
  /// Error that clipping alone leaves on the largest magnitude: it grows as s falls.
  double clipped(float amax, float s) const {
    const float top = std::max(rounder_.max, rounder_.negative_max);
    return amax > top * s ? std::pow(static_cast<double>(amax - top * s), power_) : 0;
  }

 private:
  static constexpr std::size_t kPiece = 64;
  Rounder rounder_;
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
