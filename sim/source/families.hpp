// The fill functions behind the table of sources; contract: Source::fill.
#pragma once
#include "sim/source/source.hpp"

namespace lowbit {

void fill_gaussian(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);
void fill_laplace(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);
void fill_uniform(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);
/// Parameter 0: degrees of freedom.
void fill_student_t(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);
/// Parameter 0: exponent p. |X|^p ~ Gamma(1/p, 1).
void fill_generalised_gaussian(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);
/// Parameter 0: spread c of the column scales.
void fill_channel_scales(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);
/// Parameters: gain, distance between outlier columns.
void fill_outlier_channels(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);
/// Parameters: smallest and largest magnitude of the outlier at the start of each row.
void fill_row_outlier(const Source&, Rng& rng, std::size_t rows, std::size_t columns, float* x);

}  // namespace lowbit
