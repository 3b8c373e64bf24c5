// Budget forcing at equal cost: the fixed thinking budget whose mean tokens equal those of another rule.
#pragma once
#include <vector>

namespace lowbit::rcp {

/// A fixed thinking budget with the mean total tokens and the accuracy (percent) that it gives.
struct BudgetPoint {
  double budget = 0, tokens = 0, accuracy = 0;
};

/// The point of `curve` (at least two, ascending budgets) at `tokens`: linear between the first two neighbours that
/// enclose it, the end of the curve outside it. Known only afterwards, an advantage that the paper grants budget
/// forcing.
BudgetPoint matched_budget(const std::vector<BudgetPoint>& curve, double tokens);

}  // namespace lowbit::rcp
