// A changed model against the model as it is: losses, divergences and agreement token by token, and their summaries.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sim/model/forward.hpp"

namespace lowbit::model {

/// One predicted position. Nats; P is the reference's distribution, Q the changed model's.
struct TokenComparison {
  double loss = 0;            ///< -log Q(target)
  double reference_loss = 0;  ///< -log P(target)
  double kl_full = 0;         ///< KL(P || Q) over the vocabulary
  double kl_top = 0;          ///< KL(P || Q) over the kTopCount likeliest tokens of P, both renormalised
  double delta_p = 0;         ///< Q(target) - P(target)
  bool same_top = false;      ///< the likeliest token is the same (the lowest number among equals)
};
/// int_vs_fp (arXiv 2510.25602) compares the 25 largest logits; the paper's numbers are these divided by 25.
inline constexpr std::size_t kTopCount = 25;

/// Comparison of two rows of logits; everything in double. n >= 1; the top count is at most n. NaN logits give NaN.
TokenComparison compare_logits(const float* reference, const float* changed, std::size_t n, std::int32_t target);

/// Every predicted position of each window (all but its first token), window by window. `windows` has pieces of one
/// text or several; each is a pass of its own.
using WindowComparisons = std::vector<std::vector<TokenComparison>>;
WindowComparisons compare_windows(const Hooks& reference, const Hooks& changed,
                                  std::span<const std::span<const std::int32_t>> windows, Threads& threads);
/// The losses of one model alone: `loss` is set, everything else is zero.
WindowComparisons evaluate_windows(const Hooks& hooks, std::span<const std::span<const std::int32_t>> windows,
                                   Threads& threads);

/// What comparisons need of the unquantised model at one predicted position: small enough to be kept for many windows.
struct ReferenceToken {
  std::array<std::int32_t, kTopCount> top{};  ///< likeliest first, the lowest number among equals
  std::array<float, kTopCount> logits{};      ///< of these tokens
  std::size_t count = 0;                      ///< of them: kTopCount, or the vocabulary
  double loss = 0;                            ///< -log P(target)
};
using ReferenceWindow = std::vector<ReferenceToken>;
/// One for each token of the window but the first.
ReferenceWindow reference_window(const Hooks& reference, std::span<const std::int32_t> window, Threads& threads);
/// As compare_windows, against a kept reference; kl_full is NaN: it needs all logits of the reference. Sums of
/// exponentials take float32 exponentials (math.hpp): losses agree with compare_windows to 1e-6.
std::vector<TokenComparison> compare_window(const ReferenceWindow& reference, const Hooks& changed,
                                            std::span<const std::int32_t> window, Threads& threads);

/// A mean over tokens with the standard error of the window means (absent for fewer than two windows).
struct Estimate {
  double value = 0;
  std::optional<double> standard_error;
};

/// Mean of `field(token)` over all tokens of all windows.
template <class Field>
Estimate estimate(const WindowComparisons& windows, Field field);

/// exp of the mean loss; its error by the delta method.
Estimate perplexity(const WindowComparisons& windows, double TokenComparison::*loss);

/// The sum behind `estimate`: (window mean, tokens) pairs.
Estimate combine(std::span<const double> window_means, std::span<const std::size_t> counts);

template <class Field>
Estimate estimate(const WindowComparisons& windows, Field field) {
  std::vector<double> means;
  std::vector<std::size_t> counts;
  for (const auto& window : windows) {
    double sum = 0;
    for (const TokenComparison& token : window) sum += static_cast<double>(field(token));
    means.push_back(window.empty() ? 0 : sum / static_cast<double>(window.size()));
    counts.push_back(window.size());
  }
  return combine(means, counts);
}

}  // namespace lowbit::model
