// Offline labels of the reasoning completion point k_RCP (arXiv 2508.17627 v2): from contents sampled after every
// sentence, or from the forced answers alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/early_exit/trace.hpp"

namespace lowbit::early_exit {

/// Not stated in the paper: all of these. The tolerances are "set from tail fluctuations" there; here each is `slack`
/// times the largest value over the last `tail` steps.
struct LabelOptions {
  std::size_t axes = 8;       ///< r: principal axes of the pooled embeddings that are kept, >= 1
  std::size_t tail = 5;       ///< last steps that are pooled into Q_inf and give the tolerances, >= 2
  double regularizer = 1e-3;  ///< lambda, relative to the mean variance along the kept axes; > 0
  double slack = 1;           ///< >= 1
};

/// What the label was found from; index i belongs to the sentence i + 1.
struct Label {
  std::int32_t k_rcp = 0;          ///< 1-based sentence; 0: no step satisfies both conditions
  std::vector<double> divergence;  ///< D(k) = KL(Q_k || Q_inf), >= 0
  std::vector<double> change;      ///< |L_c(k) - L_c(k-1)| of the mean lengths; NaN for k = 1
  double tolerance_divergence = 0, tolerance_change = 0;
};

/// k_RCP = min{ k >= 2 : |L_c(k) - L_c(k-1)| <= eps_c and D(k) <= eps_D }. Q_k is the Gaussian fitted (1/n covariance
/// plus lambda I) to the embeddings after sentence k, projected on the leading principal axes of all embeddings
/// together; Q_inf that of the last `tail` steps pooled. Errors (bad_data): fewer steps than `tail` + 1, no sample at a
/// step, sizes that do not match, values that are not finite, embeddings without any spread.
Label label_contents(const std::vector<SampledContents>& steps, std::size_t dim, const LabelOptions& options = {});

/// KL(N(mean_a, cov_a) || N(mean_b, cov_b)) = 1/2 [tr(B^-1 A) + (mb - ma)^T B^-1 (mb - ma) - r + ln(det B / det A)] in
/// nats; covariances r x r in C order, positive definite. Error (bad_data) where they are not.
double gaussian_divergence(const std::vector<double>& mean_a, const std::vector<double>& cov_a,
                           const std::vector<double>& mean_b, const std::vector<double>& cov_b);

/// First sentence (1-based) from which on every known forced answer equals the last known one; 0 without forced
/// answers. The paper finds that this usually coincides with the label from contents.
std::int32_t label_answers(const Trace& trace);

}  // namespace lowbit::early_exit
