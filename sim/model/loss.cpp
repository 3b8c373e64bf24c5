#include "sim/model/loss.hpp"

#include <cmath>

#include "sim/model/math.hpp"

namespace lowbit::model {

double token_loss(const float* logits, std::size_t n, std::int32_t target) {
  const SoftmaxStats stats = softmax_stats(logits, n);
  return static_cast<double>(stats.maximum) + std::log(stats.sum) - static_cast<double>(logits[target]);
}

std::vector<double> token_losses(const Hooks& hooks, const PassResult& pass, std::span<const std::int32_t> tokens,
                                 Threads& threads) {
  // row -> target token, -1 where the next row is another sequence
  std::vector<std::int32_t> target(tokens.size(), -1);
  for (const Sequence& s : pass.sequences)
    for (std::size_t i = 0; i + 1 < s.rows; ++i) target[s.first_row + i] = tokens[s.first_row + i + 1];
  std::vector<double> row_loss(tokens.size(), 0), losses;
  for_each_logits(hooks, pass, threads, [&](std::size_t first, Rows logits) {
    threads.parallel_for(logits.rows, [&](std::size_t i) {
      if (target[first + i] >= 0) row_loss[first + i] = token_loss(logits.row(i), logits.columns, target[first + i]);
    });
  });
  for (std::size_t r = 0; r < tokens.size(); ++r)
    if (target[r] >= 0) losses.push_back(row_loss[r]);
  return losses;
}

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace lowbit::model
