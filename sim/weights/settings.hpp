// Options of a method's name: "gptq:grid=mse:damp=0.01".
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/weights/grid.hpp"

namespace lowbit::weights {

class Settings {
 public:
  /// Error: an option without '=' or given twice.
  explicit Settings(std::string_view name);
  const std::string& base() const { return base_; }
  /// Value of an option, or `fallback`. Error: a value that is none of `accepted`.
  std::string choice(const std::string& key, const std::string& fallback, std::vector<std::string> accepted) const;
  /// Error: not a number from `low` to `high`.
  double number(const std::string& key, double fallback, double low, double high) const;
  ScaleSearch grid(ScaleSearch fallback) const;
  /// Error unless every option is one of these.
  void accept(const std::vector<std::string>& keys) const;

 private:
  const std::string* find(const std::string& key) const;
  std::string base_;
  std::vector<std::pair<std::string, std::string>> options_;
};

}  // namespace lowbit::weights
