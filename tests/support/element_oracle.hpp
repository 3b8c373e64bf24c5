// A second, slow and obvious conversion: the sorted values of the vectors, cut into intervals at the midpoints. Calls
// nothing of formats/codec. Midpoints of neighbouring values are exact in double.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "formats/rounding.hpp"
#include "tests/support/element_vectors.hpp"

namespace lowbit::test {

/// All x with low <= x < high and the codes that they become.
struct Interval {
  double low, high, middle;
  std::uint32_t at_low, below, tie, above;

  std::uint32_t code(double x) const {
    if (x == low) return at_low;
    return x < middle ? below : x > middle ? above : tie;
  }
};

class ElementOracle {
 public:
  ElementOracle(const std::string& name, Rounding rounding, Overflow overflow)
      : name_(name), rounding_(rounding), overflow_(overflow) {
    read();
    if (nan_code_ == kNone) overflow_ = Overflow::sat;
    const auto zero = code_of_.find(0.0);
    const double max = code_of_.rbegin()->first;
    plus_inf_ = overflow_ == Overflow::sat ? code_of_.rbegin()->second : infinity_ ? plus_inf_ : nan_code_;
    minus_inf_ = overflow_ == Overflow::sat ? code_of_.begin()->second : infinity_ ? minus_inf_ : nan_code_;
    if (name_ == "e8m0") minus_inf_ = nan_code_;
    add_lower_end();
    for (auto low = code_of_.begin(), high = std::next(low); high != code_of_.end(); ++low, ++high) {
      add(low->first, high->first, low->second,
          high->first == 0 && zero != code_of_.end() ? minus_zero_ : high->second);
    }
    const double inner = std::next(code_of_.rbegin())->first;
    const double next = name_ == "e8m0" ? 2 * max : max + (max - inner);
    add_upper_end(max, next);
  }

  /// Code of any x that is not NaN.
  std::uint32_t operator()(double x) const {
    std::size_t index = find(x);
    return at(index, x);
  }

  /// Index of the interval of a finite x.
  std::size_t find(double x) const {
    const auto above = std::upper_bound(intervals_.begin(), intervals_.end(), x,
                                        [](double v, const Interval& i) { return v < i.low; });
    return static_cast<std::size_t>(above - intervals_.begin()) - (above == intervals_.begin() ? 0 : 1);
  }

  /// Code of x given the interval of an earlier x near it, which is moved: cheap when inputs come in order.
  std::uint32_t at(std::size_t& index, double x) const {
    if (x == std::numeric_limits<double>::infinity()) return plus_inf_;
    if (x == -std::numeric_limits<double>::infinity()) return minus_inf_;
    if (x == 0 && std::signbit(x)) return minus_zero_;
    while (x >= intervals_[index].high) ++index;
    while (x < intervals_[index].low) --index;
    return intervals_[index].code(x);
  }

  std::uint32_t nan_code() const { return nan_input_; }
  const std::map<double, std::uint32_t>& values() const { return code_of_; }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  bool integer() const { return name_.rfind("int", 0) == 0; }
  bool codebook() const { return name_.find("codebook") != std::string::npos; }

  void read() {
    const double unused =
        integer() && name_.find("full") == std::string::npos ? -std::ldexp(1.0, name_[3] - '1') : 1e300;
    for (const Progression& run : read_values(name_)) {
      for (std::uint32_t i = 0; i < run.count; ++i) {
        const double value = run.at(i);
        const std::uint32_t code = run.code + i;
        if (std::isnan(value))
          nan_codes_.push_back(code);
        else if (std::isinf(value))
          infinity_ = true, (value > 0 ? plus_inf_ : minus_inf_) = code;
        else if (value == 0 && std::signbit(value))
          minus_zero_ = code;
        else if (value != unused)
          code_of_[value] = code;
      }
    }
    if (minus_zero_ == kNone && code_of_.count(0)) minus_zero_ = code_of_[0];
    if (!nan_codes_.empty() && !codebook()) nan_code_ = infinity_ ? quiet_nan() : nan_codes_.front();
    if (name_ == "e8m0") minus_zero_ = nan_code_;
    nan_input_ = nan_code_ != kNone ? nan_code_ : integer() || codebook() ? code_of_.at(0) : code_of_.rbegin()->second;
  }

  /// IEEE-like: the positive NaN with the top mantissa bit alone, the first of the upper half of the positive NaNs.
  std::uint32_t quiet_nan() const {
    const std::uint32_t run = static_cast<std::uint32_t>(nan_codes_.size()) / 2;  // 2^m - 1 of each sign
    return nan_codes_.front() - 1 + (run + 1) / 2;
  }

  /// The neighbours low < high with their codes; near and far by magnitude.
  void add(double low, double high, std::uint32_t low_code, std::uint32_t high_code) {
    const bool positive = low >= 0;
    const std::uint32_t near = positive ? low_code : high_code, far = positive ? high_code : low_code;
    const std::uint32_t at_low = code_of_.at(low);
    double middle = (low + high) / 2;
    if (codebook()) middle = static_cast<float>(middle);
    std::uint32_t tie = near % 2 == 0 ? near : far;
    if (codebook()) tie = name_ == "ternary_codebook" ? near : low_code;
    if (rounding_ == Rounding::rna) tie = far;
    if (rounding_ == Rounding::rtsm) tie = near;
    if (rounding_ == Rounding::rtz)
      intervals_.push_back({low, high, middle, at_low, near, near, near});
    else
      intervals_.push_back({low, high, middle, at_low, low_code, tie, high_code});
  }

  void add_upper_end(double max, double next) {
    const double infinity = std::numeric_limits<double>::infinity();
    const std::uint32_t code = code_of_.at(max);
    const bool stays = overflow_ == Overflow::sat || rounding_ == Rounding::rtz;
    const std::uint32_t past = stays ? code : plus_inf_;
    const bool tie_past = rounding_ == Rounding::rna || (rounding_ == Rounding::rne && code % 2 == 1);
    intervals_.push_back({max, infinity, (max + next) / 2, code, code, tie_past ? past : code, past});
  }

  void add_lower_end() {
    const double infinity = std::numeric_limits<double>::infinity();
    const double min = code_of_.begin()->first;
    const std::uint32_t code = code_of_.begin()->second;
    if (name_ == "e8m0") {  // nothing at or below zero
      intervals_.push_back({-infinity, min, 0, nan_code_, nan_code_, nan_code_, code});
      return;
    }
    const bool stays = overflow_ == Overflow::sat || rounding_ == Rounding::rtz;
    const std::uint32_t past = stays ? code : minus_inf_;
    const double inner = std::next(code_of_.begin())->first;
    const bool tie_past = rounding_ == Rounding::rna || (rounding_ == Rounding::rne && code % 2 == 1);
    intervals_.push_back({-infinity, min, min - (inner - min) / 2, past, past, tie_past ? past : code, code});
  }

  std::string name_;
  Rounding rounding_;
  Overflow overflow_;
  std::map<double, std::uint32_t> code_of_;  ///< finite values that are emitted; zero is +0
  std::vector<std::uint32_t> nan_codes_;
  std::vector<Interval> intervals_;
  bool infinity_ = false;
  std::uint32_t plus_inf_ = kNone, minus_inf_ = kNone, minus_zero_ = kNone, nan_code_ = kNone, nan_input_ = kNone;
};

}  // namespace lowbit::test
