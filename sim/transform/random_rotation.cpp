#include "sim/transform/random_rotation.hpp"

#include <fmt/format.h>

#include "sim/transform/dense.hpp"
#include "sim/transform/orthogonal.hpp"

namespace lowbit {

std::shared_ptr<const Transform> make_random_rotation(std::size_t n, std::uint64_t seed, std::uint64_t stream) {
  check_dense_size(n, "orth");
  Rng rng = Rng(seed, stream).split("orthogonal");
  return std::make_shared<DenseTransform>(fmt::format("orth:{}:seed={}", n, seed), n, random_orthogonal(n, rng));
}

}  // namespace lowbit
