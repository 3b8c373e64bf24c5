// Accumulates what a method needs to know about the inputs of one group.
#pragma once
#include "sim/weights/method.hpp"
#include "sim/weights/moment.hpp"

namespace lowbit::weights {

class StatisticsSum {
 public:
  /// `tokens`: all that will be added; `reference`: x of the reference flow, all tokens, where needs asks for it.
  StatisticsSum(const Needs& needs, std::size_t width, std::size_t tokens, const Matrix* reference);
  /// The next tokens.
  void add(ConstRows x, Threads& threads);
  std::size_t tokens() const { return tokens_; }
  Statistics take();

 private:
  Needs needs_;
  const Matrix* reference_;
  MomentSum moment_, cross_;
  std::size_t tokens_ = 0, all_tokens_, sampled_ = 0;
  Statistics statistics_;
};

}  // namespace lowbit::weights
