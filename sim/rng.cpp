#include "sim/rng.hpp"

#include <cmath>

#include "formats/random.hpp"
#include "sim/portable_math.hpp"

namespace lowbit {

Rng::Rng(std::uint64_t seed, std::string_view stream_name) : Rng(seed, stream_of(stream_name)) {}

Rng Rng::split(std::string_view label) const {
  // one Philox block mixes the parent stream with the label's hash
  const auto words = philox(stream_, stream_of(label), 0x73706c6974u);
  return Rng(seed_, (std::uint64_t{words[1]} << 32) | words[0]);
}

std::uint32_t Rng::word() {
  if (used_ == 4) {
    words_ = philox(seed_, stream_, counter_++);
    used_ = 0;
  }
  return words_[used_++];
}

std::uint64_t Rng::word64() {
  const std::uint64_t high = word();
  return (high << 32) | word();
}

double Rng::uniform() {
  return static_cast<double>(word64() >> 11) * 0x1p-53;
}

double Rng::uniform(double low, double high) {
  return low + (high - low) * uniform();
}

std::uint64_t Rng::below(std::uint64_t n) {
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % n;  // largest multiple of n that fits
  std::uint64_t v;
  do v = word64();
  while (v >= limit);
  return v % n;
}

double Rng::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  double u, v, s;
  do {
    u = uniform(-1, 1);
    v = uniform(-1, 1);
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  const double factor = std::sqrt(-2 * portable_log(s) / s);
  spare_ = v * factor;
  has_spare_ = true;
  return u * factor;
}

double Rng::exponential() {
  return -portable_log(1 - uniform());
}

double Rng::laplace() {
  const double magnitude = exponential();
  return word() >> 31 ? -magnitude : magnitude;
}

double Rng::gamma(double shape) {
  if (shape < 1) {  // boost: Gamma(a) = Gamma(a + 1) U^(1/a)
    const double u = 1 - uniform();
    return gamma(shape + 1) * portable_pow(u, 1 / shape);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal();
    const double t = 1 + c * x;
    if (t <= 0) continue;
    const double v = t * t * t, u = 1 - uniform();
    if (portable_log(u) < 0.5 * x * x + d - d * v + d * portable_log(v)) return d * v;
  }
}

double Rng::student_t(double dof) {
  const double z = normal();
  return z / std::sqrt(2 * gamma(dof / 2) / dof);
}

}  // namespace lowbit
