#include "sim/weights/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace lowbit::weights {

StatisticsSum::StatisticsSum(const Needs& needs, std::size_t width, std::size_t tokens, const Matrix* reference)
    : needs_(needs), reference_(reference), all_tokens_(tokens) {
  if (needs.moment) moment_ = MomentSum(width);
  if (reference != nullptr) cross_ = MomentSum(width);
  if (needs.channel_amax) statistics_.channel_amax.assign(width, 0.0);
  if (needs.channel_square) statistics_.channel_square.assign(width, 0.0);
  if (needs.sample > 0) statistics_.sample = Matrix(std::min(needs.sample, tokens), width);
}

void StatisticsSum::add(ConstRows x, Threads& threads) {
  if (needs_.moment) moment_.add(x, threads);
  if (reference_ != nullptr) cross_.add(reference_->view().slice(tokens_, x.rows), x, threads);
  for (std::size_t i = 0; i < x.rows; ++i) {
    const float* row = x.row(i);
    for (std::size_t c = 0; c < statistics_.channel_amax.size(); ++c)
      statistics_.channel_amax[c] = std::max(statistics_.channel_amax[c], std::abs(static_cast<double>(row[c])));
    for (std::size_t c = 0; c < statistics_.channel_square.size(); ++c)
      statistics_.channel_square[c] += static_cast<double>(row[c]) * row[c];
    // token number n of all is row n * size / all of the sample, so that they are evenly spaced
    const std::size_t size = statistics_.sample.rows();
    if (sampled_ < size && (tokens_ + i) * size / all_tokens_ == sampled_)
      std::copy_n(row, x.columns, statistics_.sample.view().row(sampled_++));
  }
  tokens_ += x.rows;
}

Statistics StatisticsSum::take() {
  statistics_.tokens = tokens_;
  if (needs_.moment) statistics_.moment = moment_.mean();
  if (reference_ != nullptr) statistics_.cross_moment = cross_.mean();
  for (double& v : statistics_.channel_square) v /= static_cast<double>(std::max<std::size_t>(tokens_, 1));
  return std::move(statistics_);
}

}  // namespace lowbit::weights
