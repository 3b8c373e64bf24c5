// Families whose values are independent and identically distributed.
#include "sim/portable_math.hpp"
#include "sim/source/families.hpp"

namespace lowbit {
namespace {

template <class Draw>
void fill_each(std::size_t n, float* x, Draw draw) {
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(draw());
}

}  // namespace

void fill_gaussian(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  fill_each(rows * columns, x, [&] { return rng.normal(); });
}

void fill_laplace(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  fill_each(rows * columns, x, [&] { return rng.laplace(); });
}

void fill_uniform(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  fill_each(rows * columns, x, [&] { return rng.uniform(-1, 1); });
}

void fill_student_t(const Source& source, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  fill_each(rows * columns, x, [&, dof = source.parameter(0)] { return rng.student_t(dof); });
}

void fill_generalised_gaussian(const Source& source, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  const double exponent = 1 / source.parameter(0);
  fill_each(rows * columns, x, [&] {
    const double magnitude = portable_pow(rng.gamma(exponent), exponent);
    return rng.word() >> 31 ? -magnitude : magnitude;
  });
}

}  // namespace lowbit
