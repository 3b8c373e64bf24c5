// Method C: whole random tensors of a family, their crest factors and the QSNR of formats on them.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "formats/block.hpp"
#include "sim/source/source.hpp"

namespace lowbit::int_vs_fp {

/// Shape and row scales of the random tensors: rows x columns, blocks along the columns, row i times exp(spread z_i).
struct TensorShape {
  std::size_t rows = 256, columns = 2048;
  double row_spread = 0.5;
  Layout layout() const { return Layout::matrix(rows, columns); }
};

/// rows x columns values of `source` in C order, then, drawn behind them, one exp(spread z) for each row.
std::vector<float> draw_tensor(const Source& source, const TensorShape& shape, Rng& rng);

/// QSNR in dB of `format` over the whole of x (one ratio of sums).
double tensor_qsnr(const Format& format, const Layout& layout, const std::vector<float>& x);

/// x with random signs and a Hadamard matrix of order n on each block of n neighbours; the signs are a function of
/// `stream`.
std::vector<float> rotated(const std::vector<float>& x, const Layout& layout, std::size_t n, std::uint64_t stream);

/// The families of method C with the parameters of their members, lightest tails last: "t", "generalised_gaussian",
/// "channel_scales". Not stated in the paper; fixed before the first run.
inline constexpr std::string_view kFamilies[] = {"t", "generalised_gaussian", "channel_scales"};
/// Names of the sources of a family. `extended` adds generalised Gaussians of p = 0.5, 0.6, 0.7 (coarse granularity
/// only).
std::vector<std::string> family_members(std::string_view family, bool extended = false);

}  // namespace lowbit::int_vs_fp
