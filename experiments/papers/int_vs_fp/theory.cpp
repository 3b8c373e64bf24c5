#include "experiments/papers/int_vs_fp/theory.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "sim/portable_math.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr std::array<TheoryFormat, 8> kFormats{{
    {"mxint8", true, 8, 0, 0, 127, 32, false},
    {"mxfp8_e4m3", false, 8, 3, 7, 448, 32, false},
    {"mxint6", true, 6, 0, 0, 31, 32, false},
    {"mxfp6_e2m3", false, 6, 3, 1, 7.5, 32, false},
    {"mxint4", true, 4, 0, 0, 7, 32, false},
    {"mxfp4", false, 4, 1, 1, 6, 32, false},
    {"nvint4", true, 4, 0, 0, 7, 16, true},
    {"nvfp4", false, 4, 1, 1, 6, 16, true},
}};

/// Density of N(0, 1).
double normal_density(double t) {
  return 0.3989422804014327 * portable_exp(-0.5 * t * t);
}
/// P(|X| < t) for N(0, 1), t >= 0.
double normal_inside(double t) {
  return portable_erf(t * 0.7071067811865476);
}
/// E[X^2 1{|X| < t}] for N(0, 1), t >= 0.
double energy_inside(double t) {
  return normal_inside(t) - 2 * t * normal_density(t);
}

/// Theorem 1.
double integer_qsnr(const TheoryFormat& format, double kappa, const TheoryVariant& variant) {
  const double block_maximum = format.e4m3_scale ? -decibel(1 - 1.0 / format.group) : 0;  // it is free of error
  const bool rounded = variant.constant == IntegerConstant::printed_everywhere ||
                       (variant.constant == IntegerConstant::printed && !format.e4m3_scale);
  if (rounded) return 10.8 + 6.02 * (format.bits - 1) - 2 * decibel(variant.rho) - 2 * decibel(kappa) + block_maximum;
  const double q = std::ldexp(1.0, format.bits - 1) - (variant.constant == IntegerConstant::exact_q ? 1 : 0);
  const double relative = variant.rho * kappa / q;
  return -decibel(relative * relative / 12) + block_maximum;
}

/// w_norm, with E4M3 scales less the block maximum's share of the energy (which may leave a negative rest).
double normal_energy(const TheoryFormat& format, double kappa, double t) {
  return 1 - energy_inside(t) - (format.e4m3_scale ? kappa * kappa / format.group : 0);
}

/// Theorem 2. t = T_N / sigma is where the subnormals begin, t0 half the smallest of them.
double float_qsnr(const TheoryFormat& format, double kappa, const TheoryVariant& variant) {
  const int m = format.mantissa_bits, b = format.bias;
  const double reach = variant.rho * kappa / format.largest;
  const double t = std::ldexp(reach, 1 - b), t0 = variant.zero_region ? std::ldexp(reach, -b - m) : 0;
  const double normal = normal_energy(format, kappa, t);
  const double step = std::ldexp(reach, 1 - b - m);
  const double subnormal = step * step / 12 * (normal_inside(t) - normal_inside(t0));
  const double alpha = variant.inverse_square_phase / (12 * std::ldexp(1.0, 2 * m));
  return -decibel(alpha * std::max(0.0, normal) + subnormal + energy_inside(t0));
}

}  // namespace

std::span<const TheoryFormat> theory_formats() {
  return kFormats;
}

const TheoryFormat& theory_format(std::string_view name) {
  const auto found = std::find_if(kFormats.begin(), kFormats.end(), [&](const auto& f) { return f.name == name; });
  assert(found != kFormats.end());
  return *found;
}

double figure_rho(const TheoryFormat& format) {
  return format.e4m3_scale ? 1.05 : 1.5;
}

double theory_qsnr(const TheoryFormat& format, double kappa, const TheoryVariant& variant) {
  return format.is_integer ? integer_qsnr(format, kappa, variant) : float_qsnr(format, kappa, variant);
}

double float_upper_bound(int mantissa_bits) {
  return decibel(24 * std::ldexp(1.0, 2 * mantissa_bits));
}

Crossover theory_crossover(const TheoryFormat& integer, const TheoryFormat& floating, const TheoryVariant& variant) {
  double low = 1.2, high = 12;
  while (high - low > 1e-9) {
    const double middle = 0.5 * (low + high);
    const bool integer_ahead = theory_qsnr(integer, middle, variant) > theory_qsnr(floating, middle, variant);
    (integer_ahead ? low : high) = middle;
  }
  return {low, theory_qsnr(floating, low, variant)};
}

double normal_term_kink(const TheoryFormat& format, double rho) {
  double low = 1, high = 12;
  while (high - low > 1e-9) {
    const double middle = 0.5 * (low + high), t = std::ldexp(rho * middle / format.largest, 1 - format.bias);
    (normal_energy(format, middle, t) > 0 ? low : high) = middle;
  }
  return low;
}

}  // namespace lowbit::int_vs_fp
