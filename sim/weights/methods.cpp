// What the methods share: weights and moments in the transformed basis, grids, errors, calibrated inputs.
#include "sim/weights/methods.hpp"

#include <algorithm>
#include <cmath>

#include "formats/error.hpp"
#include "sim/weights/gptq.hpp"

namespace lowbit::weights {

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

arma::mat transformed_moment(const arma::mat& moment, const Transform& transform) {
  const std::size_t n = transform.block();
  if (n == 0 || moment.is_empty()) return moment;
  std::vector<float> unit(n * n, 0.0f);
  for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
  transform.forward(unit.data(), unit.data(), n);  // row i: e_i T
  arma::mat t(n, n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) t(i, j) = unit[i * n + j];
  arma::mat out(moment.n_rows, moment.n_cols);
  for (std::size_t i = 0; i < moment.n_rows; i += n)
    for (std::size_t j = 0; j < moment.n_cols; j += n)
      out.submat(i, j, i + n - 1, j + n - 1) = t.t() * moment.submat(i, j, i + n - 1, j + n - 1) * t;
  return arma::symmatu(out);
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

void complete(SolvedLinear& linear, const Matrix& weight, const Grid& grid, const arma::mat& moment, Threads& threads) {
  linear.bits = grid.bits();
  if (!grid.levels()) linear.representation.codes = grid.encode(linear.effective);
  Matrix nearest(weight.rows(), weight.columns());
  if (grid.levels())
    grid.round(weight, nearest, threads);
  else
    Grid::make(grid.format(), weight, ScaleSearch::absmax, threads).round(weight, nearest, threads);
  linear.report.rounding_error = weighted_error(weight, nearest, moment);
  linear.report.error = weighted_error(weight, linear.effective, moment);
}

Needs input_needs(const Target& target) {
  Needs needs;
  const bool two_levels = target.activation && target.activation->format.second_level != SecondLevel::none;
  const bool dagger = target.activation && target.activation->dagger;
  if ((target.static_scales && two_levels) || dagger) needs.sample = SIZE_MAX;
  return needs;
}

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

}  // namespace lowbit::weights
