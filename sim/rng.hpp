// Random draws for experiments: a stream of Philox words and our own transforms on sim/portable_math.hpp, so that every
// draw has the same bits on every machine and with every library.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lowbit {

/// A sequential view of one counter-based stream. Two Rngs with the same (seed, stream) give the same draws; streams of
/// different names are independent. Cheap to copy.
class Rng {
 public:
  explicit Rng(std::uint64_t seed = 1, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  Rng(std::uint64_t seed, std::string_view stream_name);
  /// An independent stream derived from this one and a label.
  Rng split(std::string_view label) const;

  std::uint32_t word();
  std::uint64_t word64();
  /// Uniform on [0, 1): 53 random bits.
  double uniform();
  /// Uniform on [low, high).
  double uniform(double low, double high);
  /// Uniform integer in [0, n), unbiased (rejection). n > 0.
  std::uint64_t below(std::uint64_t n);
  /// N(0, 1): polar Box-Muller in double (Marsaglia), one value a call, the second kept.
  double normal();
  /// Exponential with mean 1.
  double exponential();
  /// Laplace with scale 1 (variance 2).
  double laplace();
  /// Gamma(shape, 1), Marsaglia and Tsang (2000). shape > 0.
  double gamma(double shape);
  /// Student t with `dof` > 0 degrees of freedom (not scaled to unit variance).
  double student_t(double dof);

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t counter_ = 0;
  std::array<std::uint32_t, 4> words_{};
  int used_ = 4;
  bool has_spare_ = false;
  double spare_ = 0;
};

}  // namespace lowbit
