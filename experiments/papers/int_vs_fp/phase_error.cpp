#include "experiments/papers/int_vs_fp/phase_error.hpp"

#include "formats/primitives.hpp"
#include "sim/source/source.hpp"

namespace lowbit::int_vs_fp {

std::vector<float> gaussian_rows(std::size_t rows, std::size_t columns, bool phases, Rng rng) {
  std::vector<float> x(rows * columns);
  Source::parse("gaussian").fill(rng, rows, columns, x.data());
  if (phases) spread_octave(rng, rows, columns, x.data());
  return x;
}

std::vector<double> row_errors(const std::string& format, const std::vector<float>& x, std::size_t columns) {
  std::vector<float> y(x.size());
  fake_quantize(parse_format(format), Layout::matrix(x.size() / columns, columns), x.data(), y.data());
  std::vector<double> errors;
  for (std::size_t i = 0; i < x.size(); i += columns) {
    const BlockSums sums = block_sums(&x[i], &y[i], columns);
    errors.push_back(sums.error2 / sums.sum2);
  }
  return errors;
}

}  // namespace lowbit::int_vs_fp
