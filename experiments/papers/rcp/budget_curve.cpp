#include "experiments/papers/rcp/budget_curve.hpp"

#include <algorithm>
#include <cstddef>

namespace lowbit::rcp {

BudgetPoint matched_budget(const std::vector<BudgetPoint>& curve, double tokens) {
  std::size_t i = 1;
  while (i + 1 < curve.size() && tokens > curve[i].tokens) ++i;
  const BudgetPoint &a = curve[i - 1], &b = curve[i];
  // budgets beyond the longest trace cost the same
  const double w = a.tokens == b.tokens ? 1 : std::clamp((tokens - a.tokens) / (b.tokens - a.tokens), 0.0, 1.0);
  return {a.budget + w * (b.budget - a.budget), a.tokens + w * (b.tokens - a.tokens),
          a.accuracy + w * (b.accuracy - a.accuracy)};
}

}  // namespace lowbit::rcp
