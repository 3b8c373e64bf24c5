#include "sim/early_exit/label.hpp"

#include <algorithm>
#include <armadillo>
#include <cmath>
#include <limits>

#include "formats/error.hpp"

namespace lowbit::early_exit {
namespace {

struct Gaussian {
  arma::vec mean;
  arma::mat covariance;
};

arma::mat lower_factor(const arma::mat& covariance) {
  arma::mat factor;
  if (!arma::chol(factor, covariance, "lower"))
    throw_error(ExitCode::bad_data, "a covariance of {} dimensions is not positive definite", covariance.n_rows);
  return factor;
}

double divergence(const Gaussian& a, const Gaussian& b) {
  const arma::mat fa = lower_factor(a.covariance), fb = lower_factor(b.covariance);
  // tr(B^-1 A) = |Lb^-1 La|^2, the quadratic form |Lb^-1 (mb - ma)|^2, the determinants from the diagonals
  const arma::mat ratio = arma::solve(arma::trimatl(fb), fa);
  const arma::vec shift = arma::solve(arma::trimatl(fb), arma::vec(b.mean - a.mean));
  const double logs = 2 * (arma::accu(arma::log(fb.diag())) - arma::accu(arma::log(fa.diag())));
  const double value = arma::accu(arma::square(ratio)) + arma::dot(shift, shift) - static_cast<double>(a.mean.n_elem);
  return std::max(0.0, 0.5 * (value + logs));  // rounding may leave a tiny negative number
}

/// Columns are samples.
Gaussian fit(const arma::mat& samples, double regularizer) {
  const arma::vec mean = arma::mean(samples, 1);
  const arma::mat centred = samples.each_col() - mean;
  arma::mat covariance = centred * centred.t() / static_cast<double>(samples.n_cols);
  covariance.diag() += regularizer;
  return {mean, covariance};
}

void check_steps(const std::vector<SampledContents>& steps, std::size_t dim, const LabelOptions& o) {
  if (dim == 0 || o.axes == 0 || o.tail < 2 || !(o.regularizer > 0) || !(o.slack >= 1))
    throw_error(ExitCode::usage,
                "label: dim {}, axes {}, tail {}, regularizer {}, slack {}; accepted: >= 1, >= 1, >= 2, > 0, >= 1", dim,
                o.axes, o.tail, o.regularizer, o.slack);
  if (steps.size() < o.tail + 1)
    throw_error(ExitCode::bad_data, "label: {} steps; at least {} are needed for a tail of {}", steps.size(),
                o.tail + 1, o.tail);
  const auto finite = [](double v) { return std::isfinite(v); };
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const SampledContents& s = steps[k];
    if (s.length.empty()) throw_error(ExitCode::bad_data, "label: step {} has no sample", k + 1);
    if (s.embedding.size() != s.length.size() * dim)
      throw_error(ExitCode::bad_data, "label: step {} has {} embedding values, expected {} samples x {}", k + 1,
                  s.embedding.size(), s.length.size(), dim);
    if (!std::all_of(s.embedding.begin(), s.embedding.end(), finite) ||
        !std::all_of(s.length.begin(), s.length.end(), finite))
      throw_error(ExitCode::bad_data, "label: step {} holds a value that is not finite", k + 1);
  }
}

/// The embeddings of every step on the leading principal axes of all of them.
std::vector<arma::mat> project(const std::vector<SampledContents>& steps, std::size_t dim, std::size_t axes,
                               double& variance) {
  std::vector<arma::mat> samples;
  arma::mat all;
  for (const SampledContents& s : steps) {
    samples.emplace_back(s.embedding.data(), dim, s.length.size());
    all = arma::join_rows(all, samples.back());
  }
  const arma::vec mean = arma::mean(all, 1);
  all.each_col() -= mean;
  arma::vec values;
  arma::mat vectors;
  if (!arma::eig_sym(values, vectors, all * all.t() / static_cast<double>(all.n_cols)))
    throw_error(ExitCode::bad_data, "label: the covariance of the embeddings has no eigenvalue decomposition");
  const std::size_t r = std::min(axes, dim);  // eigenvalues ascend
  variance = arma::mean(values.tail(r));
  if (!(variance > 0)) throw_error(ExitCode::bad_data, "label: all embeddings are equal");
  const arma::mat basis = vectors.tail_cols(r);
  for (arma::mat& s : samples) s = basis.t() * (s.each_col() - mean);
  return samples;
}

double largest_of_tail(const std::vector<double>& values, std::size_t tail) {
  return *std::max_element(values.end() - static_cast<std::ptrdiff_t>(tail), values.end());
}

}  // namespace

double gaussian_divergence(const std::vector<double>& mean_a, const std::vector<double>& cov_a,
                           const std::vector<double>& mean_b, const std::vector<double>& cov_b) {
  const std::size_t r = mean_a.size();
  if (r == 0 || mean_b.size() != r || cov_a.size() != r * r || cov_b.size() != r * r)
    throw_error(ExitCode::bad_data, "divergence: means of {} and {} values, covariances of {} and {}", r, mean_b.size(),
                cov_a.size(), cov_b.size());
  return divergence({arma::vec(mean_a), arma::mat(cov_a.data(), r, r)},
                    {arma::vec(mean_b), arma::mat(cov_b.data(), r, r)});
}

Label label_contents(const std::vector<SampledContents>& steps, std::size_t dim, const LabelOptions& options) {
  check_steps(steps, dim, options);
  double variance = 0;
  const std::vector<arma::mat> samples = project(steps, dim, options.axes, variance);
  const double regularizer = options.regularizer * variance;
  arma::mat pooled;
  for (std::size_t k = samples.size() - options.tail; k < samples.size(); ++k)
    pooled = arma::join_rows(pooled, samples[k]);
  const Gaussian end = fit(pooled, regularizer);
  Label label;
  double before = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t k = 0; k < steps.size(); ++k) {
    label.divergence.push_back(divergence(fit(samples[k], regularizer), end));
    const double length = arma::mean(arma::vec(steps[k].length));
    label.change.push_back(std::abs(length - before));
    before = length;
  }
  label.tolerance_divergence = options.slack * largest_of_tail(label.divergence, options.tail);
  label.tolerance_change = options.slack * largest_of_tail(label.change, options.tail);
  for (std::size_t k = 1; k < steps.size() && label.k_rcp == 0; ++k)
    if (label.change[k] <= label.tolerance_change && label.divergence[k] <= label.tolerance_divergence)
      label.k_rcp = static_cast<std::int32_t>(k + 1);
  return label;
}

std::int32_t label_answers(const Trace& trace) {
  std::int32_t last = -1, first = 0;
  for (std::size_t k = trace.ans.size(); k-- > 0;) {
    if (trace.ans[k] < 0) continue;
    if (last < 0) last = trace.ans[k];
    if (trace.ans[k] != last) break;
    first = static_cast<std::int32_t>(k) + 1;
  }
  return first;
}

}  // namespace lowbit::early_exit
