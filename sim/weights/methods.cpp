// What the methods share: weights and moments in the transformed basis, grids, errors, calibrated inputs.
#include "sim/weights/methods.hpp"

#include <algorithm>
#include <cmath>

#include "formats/error.hpp"
#include "sim/weights/gptq.hpp"

namespace lowbit::weights {

namespace {

std::vector<Matrix> transformed_weights(const InputGroup& group, const Transform& transform,
                                        const std::vector<float>& channel_scale) {
  std::vector<Matrix> weights;
  for (const GroupLinear& linear : group.linears) {
    Matrix w(linear.weight.rows, linear.weight.columns);
    model::copy_rows(linear.weight, w);
    for (std::size_t i = 0; !channel_scale.empty() && i < w.rows(); ++i)
      for (std::size_t c = 0; c < w.columns(); ++c) w.view().row(i)[c] *= channel_scale[c];
    const Layout layout = Layout::matrix(w.rows(), w.columns());
    check_fits(transform, layout, linear.name);
    apply(transform, layout, w.data(), w.data());
    weights.push_back(std::move(w));
  }
  return weights;
}

std::vector<Grid> make_grids(const std::vector<Matrix>& weights, const Target& target, ScaleSearch search,
                             Threads& threads) {
  std::optional<float> amax;
  if (target.fuse_scales) {
    amax = 0.0f;
    for (const Matrix& w : weights) amax = std::max(*amax, finite_amax(w.data(), w.rows() * w.columns()));
  }
  std::vector<Grid> grids;
  for (const Matrix& w : weights) {
    if (target.weight.dagger && search != ScaleSearch::absmax)
      throw_error(ExitCode::usage, "{}: its levels are fitted to absmax scales (accepted: grid=absmax)",
                  target.weight.name());
    grids.push_back(target.weight.dagger ? Grid::dagger(w)
                                         : Grid::make(target.weight.format, w, search, threads, amax));
  }
  return grids;
}

/// Fills what calibration decides of the input map: static second-level scale, dagger levels.
void calibrate_input(InputMap& input, const Statistics& statistics, const Target& target,
                     const std::vector<Grid>& grids, Threads& threads) {
  const bool dagger = target.activation && target.activation->dagger;
  const bool fixed =
      target.static_scales && target.activation && target.activation->format.second_level != SecondLevel::none;
  if ((!dagger && !fixed) || statistics.sample.empty()) return;
  Matrix x(statistics.sample.rows(), statistics.sample.columns());
  model::copy_rows(statistics.sample, x);
  InputMap plain;
  plain.channel_divisor = input.channel_divisor;
  plain.transform = input.transform;
  plain.apply(x, 0, threads);
  if (fixed) input.fixed_maximum = finite_amax(x.data(), x.rows() * x.columns());
  if (!dagger) return;
  std::vector<float> scales(x.rows() * ((x.columns() + 31) / 32));
  absmax_scales(x, 32, scales.data());
  const float largest = *std::max_element(scales.begin(), scales.end());
  // the linears of a group share x, so one alpha: that of the first
  if (grids.front().levels() && largest > 0) input.levels = grids.front().levels()->ending_at(largest);
}

/// E[(x / s)(x / s)^T].
arma::mat divided_moment(arma::mat moment, const std::vector<float>& channel_scale) {
  for (std::size_t j = 0; !channel_scale.empty() && j < moment.n_cols; ++j)
    for (std::size_t i = 0; i < moment.n_rows; ++i)
      moment(i, j) /= static_cast<double>(channel_scale[i]) * channel_scale[j];
  return moment;
}

/// Codes of the effective weight, which takes the sign of its zeros from them; none where they do not decode to it.
void keep_codes(SolvedLinear& linear, const Grid& grid, Threads& threads) {
  Matrix& w = linear.effective;
  Quantized codes = grid.encode(w, threads);
  std::vector<float> decoded(w.rows() * w.columns());
  decode(codes, decoded.data());
  if (!std::equal(decoded.begin(), decoded.end(), w.data())) {
    linear.report.note = "no codes: a block scale that rounds to 0 counts as 1 here, which its code does not say";
    return;
  }
  std::copy(decoded.begin(), decoded.end(), w.data());
  linear.representation.codes = std::move(codes);
}

Matrix nearest(const Prepared& prepared, std::size_t i, Threads& threads) {
  const Matrix& w = prepared.weights[i];
  Matrix y(w.rows(), w.columns());
  const Grid& grid = prepared.grids[i];
  if (grid.levels() || prepared.search == ScaleSearch::absmax)
    grid.round(w, y, threads);
  else
    Grid::make(grid.format(), w, ScaleSearch::absmax, threads).round(w, y, threads);
  return y;
}

}  // namespace

arma::mat transformed_moment(const arma::mat& moment, const Transform& transform, Threads& threads) {
  const std::size_t n = transform.block();
  if (n == 0 || moment.is_empty()) return moment;
  std::vector<float> unit(n * n, 0.0f);
  for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
  transform.forward(unit.data(), unit.data(), n);  // row i: e_i T
  arma::mat t(n, n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) t(i, j) = unit[i * n + j];
  // H T, block of columns by block of columns; T^T H T is (T^T (H T))^T up to its symmetry
  arma::mat out = moment;
  for (int side = 0; side < 2; ++side) {
    if (side == 1) arma::inplace_trans(out);
    threads.parallel_for(out.n_cols / n, [&](std::size_t b) {
      const arma::mat columns = out.cols(b * n, b * n + n - 1) * t;
      std::copy_n(columns.memptr(), columns.n_elem, out.colptr(b * n));
    });
  }
  return arma::symmatu(out);
}

Prepared prepare(const InputGroup& group, const Statistics& statistics, const Target& target, ScaleSearch search,
                 Threads& threads, std::vector<float> channel_scale) {
  Prepared p{target, search, {}, {}, {}, {}};
  p.solution.input = nominal_input(group, target);
  const Transform& transform = *p.solution.input.transform;
  p.weights = transformed_weights(group, transform, channel_scale);
  p.grids = make_grids(p.weights, target, search, threads);
  p.moment = transformed_moment(divided_moment(statistics.moment, channel_scale), transform, threads);
  p.solution.input.channel_divisor = std::move(channel_scale);
  calibrate_input(p.solution.input, statistics, target, p.grids, threads);
  return p;
}

SolvedLinear solved(const Prepared& prepared, std::size_t i, Matrix effective, Threads& threads) {
  SolvedLinear linear;
  linear.effective = std::move(effective);
  linear.bits = prepared.grids[i].bits();
  if (prepared.target.keep_codes) keep_codes(linear, prepared.grids[i], threads);
  const WeightedError error(prepared.weights[i], prepared.moment, threads);
  linear.report.error = error.of(linear.effective);
  linear.report.rounding_error = error.of(nearest(prepared, i, threads));
  return linear;
}

SolvedLinear rounded(const Prepared& prepared, std::size_t i, Threads& threads) {
  Matrix y(prepared.weights[i].rows(), prepared.weights[i].columns());
  prepared.grids[i].round(prepared.weights[i], y, threads);
  return solved(prepared, i, std::move(y), threads);
}

Needs input_needs(const Target& target) {
  Needs needs;
  const bool two_levels = target.activation && target.activation->format.second_level != SecondLevel::none;
  const bool dagger = target.activation && target.activation->dagger;
  if ((target.static_scales && two_levels) || dagger) needs.sample = SIZE_MAX;
  return needs;
}

}  // namespace lowbit::weights
