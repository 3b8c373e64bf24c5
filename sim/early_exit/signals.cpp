#include "sim/early_exit/signals.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "formats/error.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::early_exit {

namespace {

float logit_of(std::span<const float> logits, std::int32_t end_token) {
  if (end_token < 0 || static_cast<std::size_t>(end_token) >= logits.size())
    throw_error(ExitCode::bad_data, "end token {} is outside the vocabulary of {}", end_token, logits.size());
  return logits[static_cast<std::size_t>(end_token)];
}

void check_logit(std::span<const float> logits, std::size_t i) {
  if (!(logits[i] < std::numeric_limits<float>::infinity()))
    throw_error(ExitCode::bad_data, "the logit of token {} is {}", i, logits[i]);
}

}  // namespace

EndSignals end_signals(std::span<const float> logits, std::int32_t end_token) {
  const float end = logit_of(logits, end_token);
  EndSignals s{1, -1, 0, 0};
  float top = -std::numeric_limits<float>::infinity();
  double sum = 0;
  std::size_t finite = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float y = logits[i];
    check_logit(logits, i);
    s.rank += y > end;
    s.ties += y == end;
    top = std::max(top, y);
    if (std::isinf(y)) continue;
    sum += y;
    ++finite;
  }
  if (!std::isfinite(top)) throw_error(ExitCode::bad_data, "every logit is -inf");
  double total = 0;
  for (const float y : logits) total += portable_exp(static_cast<double>(y) - top);
  const double distance = static_cast<double>(top) - end;
  s.logp = std::min(0.0, -distance - portable_log(total));
  const double spread = top - sum / static_cast<double>(finite);
  if (distance > 0) s.boost = distance / std::max(spread, std::numeric_limits<double>::min());
  return s;
}

std::int32_t end_rank(std::span<const float> logits, std::int32_t end_token) {
  const float end = logit_of(logits, end_token);
  std::int32_t rank = 1;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    check_logit(logits, i);
    rank += logits[i] > end;
  }
  return rank;
}

EndSignals end_rank_by_sorting(std::span<const float> logits, std::int32_t end_token) {
  const float end = logit_of(logits, end_token);
  std::vector<float> sorted(logits.begin(), logits.end());
  std::stable_sort(sorted.begin(), sorted.end(), std::greater<>());
  const auto first = std::find(sorted.begin(), sorted.end(), end);
  EndSignals s;
  s.rank = static_cast<std::int32_t>(first - sorted.begin()) + 1;
  while (first + s.ties + 1 < sorted.end() && *(first + s.ties + 1) == end) ++s.ties;
  return s;
}

std::int32_t near_end_token(std::span<const float> logits, std::int32_t end_token, double margin) {
  const float end = logit_of(logits, end_token);
  return static_cast<std::int32_t>(std::count_if(logits.begin(), logits.end(), [&](float y) {
    return y == end || std::abs(static_cast<double>(y) - end) <= margin;
  }));
}

}  // namespace lowbit::early_exit
