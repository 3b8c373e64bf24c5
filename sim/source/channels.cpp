// Families with a structure over columns or rows.
#include <vector>

#include "sim/portable_math.hpp"
#include "sim/source/families.hpp"

namespace lowbit {
namespace {

/// N(0, 1) times the factor of each column.
void fill_scaled_columns(Rng& rng, std::size_t rows, const std::vector<double>& factors, float* x) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (const double factor : factors) *x++ = static_cast<float>(rng.normal() * factor);
  }
}

}  // namespace

void fill_channel_scales(const Source& source, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  std::vector<double> factors(columns);
  for (double& factor : factors) factor = portable_exp(source.parameter(0) * rng.normal());
  fill_scaled_columns(rng, rows, factors, x);
}

void fill_outlier_channels(const Source& source, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  std::vector<double> factors(columns, 1.0);
  const auto every = static_cast<std::size_t>(source.parameter(1));
  for (std::size_t c = 0; c < columns; c += every) factors[c] = source.parameter(0);
  fill_scaled_columns(rng, rows, factors, x);
}

void fill_row_outlier(const Source& source, Rng& rng, std::size_t rows, std::size_t columns, float* x) {
  const double low = portable_log(source.parameter(0)), high = portable_log(source.parameter(1));
  for (std::size_t r = 0; r < rows; ++r, x += columns) {
    for (std::size_t c = 0; c < columns; ++c) x[c] = static_cast<float>(rng.normal());
    const double magnitude = portable_exp(rng.uniform(low, high));
    if (columns > 0) x[0] = static_cast<float>(rng.word() >> 31 ? -magnitude : magnitude);
  }
}

}  // namespace lowbit
