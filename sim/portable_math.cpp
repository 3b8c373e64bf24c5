#include "sim/portable_math.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace lowbit {
namespace {

// ln 2 in two parts; the high one has 21 trailing zero bits, so that k * kLn2High is exact for every exponent k
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// 1/25, 1/23, ..., 1/3: atanh(s) = s + s^3 (1/3 + s^2/5 + ...); |s| < 0.172, so the first term left out is below
/// 2^-70.
constexpr auto kAtanh = [] {
  std::array<double, 12> c{};
  for (int i = 0; i < 12; ++i) c[i] = 1.0 / (25 - 2 * i);
  return c;
}();

/// 1/15!, 1/14!, ..., 1/2!; |r| < 0.347, so the first term left out is below 2^-68.
constexpr auto kExp = [] {
  std::array<double, 14> c{};
  double factorial = 1;
  for (int n = 2; n <= 15; ++n) c[15 - n] = 1 / (factorial *= n);
  return c;
}();

/// 2^k for a normal result.
double power_of_two(int k) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
}

/// x = m * 2^k with sqrt(1/2) <= m < sqrt(2), x positive and finite.
double split_exponent(double x, int& k) {
  k = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    k = -54;
  }
  auto bits = std::bit_cast<std::uint64_t>(x);
  k += static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
  double m = std::bit_cast<double>(bits);
  if (m >= 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    ++k;
  }
  return m;
}

}  // namespace

double portable_log(double x) {
  if (std::isnan(x) || x < 0) return kNaN;
  if (x == 0) return -kInfinity;
  if (x == kInfinity) return x;
  int k;
  const double f = split_exponent(x, k) - 1;  // exact
  // log(1 + f) = 2 atanh(s) = 2s + r with s = f / (2 + f), r = 2 (s^3/3 + s^5/5 + ...); and 2s = f - s f, whose leading
  // term is exact
  const double s = f / (2 + f), z = s * s;
  double tail = 0;
  for (const double coefficient : kAtanh) tail = tail * z + coefficient;
  const double r = 2 * s * z * tail;
  return k * kLn2High + (f - ((s * f - r) - k * kLn2Low));
}

double portable_exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 709.8) return kInfinity;
  if (x < -745.2) return 0;
  const int k = static_cast<int>(std::floor(x * 0x1.71547652b82fep+0 + 0.5));
  const double high = x - k * kLn2High, low = k * kLn2Low, r = high - low;  // |r| <= ln 2 / 2
  double tail = 0;
  for (const double coefficient : kExp) tail = tail * r + coefficient;  // 1/2! + r/3! + ...
  const double y = 1 + (high - (low - r * (r * tail)));
  if (k > 1023) return y * 0x1p1023 * 2;
  if (k < -1021) return y * power_of_two(k + 100) * 0x1p-100;
  return y * power_of_two(k);
}

double portable_pow(double x, double y) {
  return x == 0 && y > 0 ? 0 : portable_exp(y * portable_log(x));
}

double portable_erf(double x) {
  if (std::isnan(x)) return x;
  if (std::fabs(x) > 6) return x < 0 ? -1 : 1;
  double term = x, sum = x;
  for (int n = 1; std::fabs(term) > 0x1p-60 * std::fabs(sum); ++n) {
    term *= 2 * x * x / (2 * n + 1);
    sum += term;
  }
  return 0x1.20dd750429b6dp+0 * portable_exp(-x * x) * sum;
}

double decibel(double ratio) {
  return portable_log(ratio) * 0x1.15f2ced384f29p+2;
}

}  // namespace lowbit
