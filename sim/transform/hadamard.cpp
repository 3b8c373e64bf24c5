#include "sim/transform/hadamard.hpp"

#include <vector>

#include "formats/error.hpp"
#include "formats/primitives.hpp"

namespace lowbit {
namespace {

class Hadamard : public Transform {
 public:
  Hadamard(std::size_t n, std::optional<std::uint64_t> seed, std::uint64_t stream) : n_(n), seed_(seed) {
    if (seed) {
      signs_.resize(n);
      random_signs(signs_.data(), n, *seed, stream);
    }
    rotation_ = {n_, signs(), false};
  }
  const Rotation* rotation() const override { return &rotation_; }
  std::string name() const override {
    return seed_ ? fmt::format("rhad:{}:seed={}", n_, *seed_) : fmt::format("had:{}", n_);
  }
  std::size_t block() const override { return n_; }
  bool size_exists(std::size_t n) const override { return hadamard_order_exists(n); }
  void forward(const float* x, float* y, std::size_t blocks) const override {
    hadamard(x, y, n_, blocks, signs(), false);
  }
  void inverse(const float* x, float* y, std::size_t blocks) const override {
    hadamard(x, y, n_, blocks, signs(), true);
  }

 private:
  const float* signs() const { return signs_.empty() ? nullptr : signs_.data(); }

  std::size_t n_;
  std::optional<std::uint64_t> seed_;
  std::vector<float> signs_;
  Rotation rotation_;
};

}  // namespace

std::shared_ptr<const Transform> make_hadamard(std::size_t n, std::optional<std::uint64_t> seed, std::uint64_t stream) {
  constexpr std::size_t kLargest = std::size_t{1} << 30;
  if (n > kLargest || !hadamard_order_exists(n))
    throw_error(
        ExitCode::usage,
        "transform size {} has no Hadamard matrix here (accepted: m * 2^k with m = 1, 12, 20, 28 or 36, at most 2^30)",
        n);
  return std::make_shared<Hadamard>(n, seed, stream);
}

}  // namespace lowbit
