#include "sim/model/compare.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "sim/model/loss.hpp"
#include "sim/model/math.hpp"

namespace lowbit::model {
namespace {

std::size_t likeliest(const float* logits, std::size_t n) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < n; ++i)
    if (logits[i] > logits[best]) best = i;
  return best;
}

// log sum exp over n values in double.
double log_sum(const float* logits, std::size_t n, float maximum) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(logits[i]) - maximum);
  return maximum + std::log(sum);
}

// Indices of the `count` largest logits, ties to the lower index. A heap with the smallest on top: nearly every value
// fails the first comparison.
std::vector<std::size_t> largest(const float* logits, std::size_t n, std::size_t count) {
  const auto better = [&](std::size_t a, std::size_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  std::vector<std::size_t> heap;
  for (std::size_t i = 0; i < n; ++i) {
    if (heap.size() < count) {
      heap.push_back(i);
      std::push_heap(heap.begin(), heap.end(), better);
    } else if (better(i, heap.front())) {
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.back() = i;
      std::push_heap(heap.begin(), heap.end(), better);
    }
  }
  return heap;
}

// KL of two softmaxes over the same few logits.
double small_divergence(const std::vector<double>& p, const std::vector<double>& q) {
  const double p_max = *std::max_element(p.begin(), p.end()), q_max = *std::max_element(q.begin(), q.end());
  double p_sum = 0, q_sum = 0, kl = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    p_sum += std::exp(p[i] - p_max);
    q_sum += std::exp(q[i] - q_max);
  }
  const double shift = (p_max + std::log(p_sum)) - (q_max + std::log(q_sum));
  for (std::size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i] - p_max) / p_sum * (p[i] - q[i] - shift);
  return kl;
}

struct Pass {
  const Hooks& hooks;
  PassResult result;
  LogitPieces logits;  // two passes at a time, in the memory of one
  Pass(const Hooks& hooks, std::span<const std::int32_t> window, Threads& threads)
      : hooks(hooks), result(run(hooks, window, threads)), logits(hooks, result, threads, kLogitRows / 2) {}
  static PassResult run(const Hooks& hooks, std::span<const std::int32_t> window, Threads& threads) {
    const TokenSpan span{window, nullptr};
    return forward(hooks, {&span, 1}, threads);
  }
};

}  // namespace

TokenComparison compare_logits(const float* reference, const float* changed, std::size_t n, std::int32_t target) {
  TokenComparison out;
  const std::size_t top = likeliest(reference, n), changed_top = likeliest(changed, n);
  const double p_log = log_sum(reference, n, reference[top]), q_log = log_sum(changed, n, changed[changed_top]);
  for (std::size_t i = 0; i < n; ++i) {
    const double p = static_cast<double>(reference[i]) - p_log, q = static_cast<double>(changed[i]) - q_log;
    out.kl_full += std::exp(p) * (p - q);
  }
  std::vector<double> p, q;
  for (const std::size_t i : largest(reference, n, std::min(n, kTopCount))) {
    p.push_back(reference[i]);
    q.push_back(changed[i]);
  }
  out.kl_top = small_divergence(p, q);
  out.reference_loss = p_log - reference[target];
  out.loss = q_log - changed[target];
  out.delta_p = std::exp(-out.loss) - std::exp(-out.reference_loss);
  out.same_top = top == changed_top;
  return out;
}

WindowComparisons compare_windows(const Hooks& reference, const Hooks& changed,
                                  std::span<const std::span<const std::int32_t>> windows, Threads& threads) {
  WindowComparisons out;
  for (const auto window : windows) {
    Pass p(reference, window, threads), q(changed, window, threads);
    std::vector<TokenComparison> tokens(window.size() - 1);
    for (std::size_t piece = 0; piece < p.logits.count(); ++piece) {
      const std::size_t first = p.logits.first_row(piece);
      const Rows a = p.logits.compute(piece), b = q.logits.compute(piece);
      threads.parallel_for(std::min(a.rows, tokens.size() - std::min(first, tokens.size())), [&](std::size_t i) {
        tokens[first + i] = compare_logits(a.row(i), b.row(i), a.columns, window[first + i + 1]);
      });
    }
    out.push_back(std::move(tokens));
  }
  return out;
}

namespace {

// -log softmax(logits)[target].
double fast_loss(const float* logits, std::int32_t target, const SoftmaxStats& stats) {
  return static_cast<double>(stats.maximum) + std::log(stats.sum) - static_cast<double>(logits[target]);
}

ReferenceToken reference_token(const float* logits, std::size_t n, std::int32_t target) {
  ReferenceToken token;
  auto top = largest(logits, n, std::min(n, kTopCount));
  std::sort(top.begin(), top.end(),
            [&](std::size_t a, std::size_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
  token.count = top.size();
  for (std::size_t i = 0; i < top.size(); ++i) {
    token.top[i] = static_cast<std::int32_t>(top[i]);
    token.logits[i] = logits[top[i]];
  }
  token.loss = fast_loss(logits, target, softmax_stats(logits, n));
  return token;
}

TokenComparison compare_token(const ReferenceToken& reference, const float* logits, std::size_t n,
                              std::int32_t target) {
  TokenComparison out;
  const SoftmaxStats stats = softmax_stats(logits, n);
  std::vector<double> p, q;
  for (std::size_t i = 0; i < reference.count; ++i) {
    p.push_back(reference.logits[i]);
    q.push_back(logits[reference.top[i]]);
  }
  out.kl_top = small_divergence(p, q);
  out.kl_full = std::numeric_limits<double>::quiet_NaN();
  out.reference_loss = reference.loss;
  out.loss = fast_loss(logits, target, stats);
  out.delta_p = std::exp(-out.loss) - std::exp(-out.reference_loss);
  out.same_top = static_cast<std::size_t>(reference.top[0]) == likeliest(logits, n);
  return out;
}

// visit(i, logits) for each predicted position, in parallel.
template <class Visit>
void for_each_prediction(const Hooks& hooks, std::span<const std::int32_t> window, Threads& threads, Visit visit) {
  Pass pass(hooks, window, threads);
  const std::size_t predicted = window.size() - 1;
  for (std::size_t piece = 0; piece < pass.logits.count(); ++piece) {
    const std::size_t first = pass.logits.first_row(piece);
    const Rows rows = pass.logits.compute(piece);
    if (first >= predicted) break;
    threads.parallel_for(std::min(rows.rows, predicted - first),
                         [&](std::size_t i) { visit(first + i, rows.row(i), rows.columns); });
  }
}

}  // namespace

ReferenceWindow reference_window(const Hooks& reference, std::span<const std::int32_t> window, Threads& threads) {
  ReferenceWindow out(window.size() - 1);
  for_each_prediction(reference, window, threads, [&](std::size_t i, const float* logits, std::size_t n) {
    out[i] = reference_token(logits, n, window[i + 1]);
  });
  return out;
}

std::vector<TokenComparison> compare_window(const ReferenceWindow& reference, const Hooks& changed,
                                            std::span<const std::int32_t> window, Threads& threads) {
  assert(reference.size() + 1 == window.size());
  std::vector<TokenComparison> out(window.size() - 1);
  for_each_prediction(changed, window, threads, [&](std::size_t i, const float* logits, std::size_t n) {
    out[i] = compare_token(reference[i], logits, n, window[i + 1]);
  });
  return out;
}

WindowComparisons evaluate_windows(const Hooks& hooks, std::span<const std::span<const std::int32_t>> windows,
                                   Threads& threads) {
  WindowComparisons out;
  for (const auto window : windows) {
    const PassResult pass = Pass::run(hooks, window, threads);
    std::vector<TokenComparison> tokens;
    for (const double loss : token_losses(hooks, pass, window, threads)) {
      tokens.emplace_back();
      tokens.back().loss = loss;
    }
    out.push_back(std::move(tokens));
  }
  return out;
}

Estimate combine(std::span<const double> window_means, std::span<const std::size_t> counts) {
  double sum = 0, total = 0, mean_of_means = 0;
  for (std::size_t i = 0; i < window_means.size(); ++i) {
    sum += window_means[i] * static_cast<double>(counts[i]);
    total += static_cast<double>(counts[i]);
    mean_of_means += window_means[i] / static_cast<double>(window_means.size());
  }
  Estimate out{total > 0 ? sum / total : 0, std::nullopt};
  if (window_means.size() < 2) return out;
  double squares = 0;
  for (const double value : window_means) squares += (value - mean_of_means) * (value - mean_of_means);
  const double n = static_cast<double>(window_means.size());
  out.standard_error = std::sqrt(squares / (n - 1) / n);
  return out;
}

Estimate perplexity(const WindowComparisons& windows, double TokenComparison::*loss) {
  Estimate mean = estimate(windows, [loss](const TokenComparison& token) { return token.*loss; });
  mean.value = std::exp(mean.value);
  if (mean.standard_error) *mean.standard_error *= mean.value;
  return mean;
}

}  // namespace lowbit::model
