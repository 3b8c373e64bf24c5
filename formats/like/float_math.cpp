#include "formats/like/float_math.hpp"

#include <cmath>
#include <limits>
#include <numbers>

namespace lowbit::like {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Half the distance from float t to its neighbour towards `to`: a real number nearer to t than that rounds to t.
double half_gap(float t, float to) {
  return std::abs(double{std::nextafter(t, to)} - double{t}) / 2;
}

/// Whether log2(t) of 0, Inf, NaN or a negative x, which `result` then holds.
bool is_special(float x, float& result) {
  if (x > 0 && x < kInfinity) return false;
  result = x == 0 ? -kInfinity : x > 0 ? kInfinity : kNaN;
  return true;
}

}  // namespace

// log2(x) is irrational unless x is a power of two, so no tie ever occurs, and near an integer k it is
// k + log2(1 + d) with |d| < 2^-15. Comparing d -+ d^2/2 with gap * ln 2 in double decides the rounding: neighbouring x
// differ by at least 2^-24 in d, the cut lies at least 0.04 of such a step away from every x, and the terms left out
// are below 2^-46.
float floor_log2f(float x) {
  float special;
  if (is_special(x, special)) return special;
  const int exponent = std::ilogb(x);
  const float above = static_cast<float>(exponent + 1);
  const double d = 1 - std::ldexp(double{x}, -(exponent + 1));
  const bool rounds_up = d + d * d / 2 < half_gap(above, -kInfinity) * std::numbers::ln2;
  return rounds_up ? above : above - 1;
}

float ceil_log2f(float x) {
  float special;
  if (is_special(x, special)) return special;
  const int exponent = std::ilogb(x);
  const float below = static_cast<float>(exponent);
  const double d = std::ldexp(double{x}, -exponent) - 1;
  const bool rounds_down = d == 0 || d - d * d / 2 < half_gap(below, kInfinity) * std::numbers::ln2;
  return rounds_down ? below : below + 1;
}

float round_log2f(float x) {
  float special;
  if (is_special(x, special)) return special;
  const int exponent = std::ilogb(x);
  const float middle = static_cast<float>(exponent) + 0.5f;
  const double r = std::ldexp(double{x}, -exponent) / std::numbers::sqrt2 - 1;  // log2(x) = middle + log2(1 + r)
  const double cut = half_gap(middle, r < 0 ? -kInfinity : kInfinity) * std::numbers::ln2;
  if (std::abs(r) < cut) return std::nearbyint(middle);
  return static_cast<float>(r < 0 ? exponent : exponent + 1);
}

float power_of_two(float e) {
  if (std::isnan(e)) return e;
  if (e > 1000) return kInfinity;
  if (e < -1000) return 0;
  return std::ldexp(1.0f, static_cast<int>(e));
}

float sign_of(float x) {
  return static_cast<float>((x > 0) - (x < 0));
}

float amax_or_nan(std::span<const float> x) {
  float largest = 0;
  for (const float v : x) {
    if (std::isnan(v)) return v;
    if (std::abs(v) > largest) largest = std::abs(v);
  }
  return largest;
}

float clamp_or_nan(float x, float low, float high) {
  return x < low ? low : x > high ? high : x;
}

}  // namespace lowbit::like
