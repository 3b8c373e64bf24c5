#include "sim/weights/settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "formats/error.hpp"

namespace lowbit::weights {

Settings::Settings(std::string_view name) {
  base_ = std::string(name.substr(0, name.find(':')));
  for (std::size_t at = base_.size(); at < name.size();) {
    const std::size_t begin = at + 1, end = std::min(name.find(':', begin), name.size());
    const std::string_view option = name.substr(begin, end - begin);
    const std::size_t equals = option.find('=');
    if (equals == std::string_view::npos)
      throw_error(ExitCode::usage, "method '{}': option '{}' has no value (accepted: KEY=VALUE)", base_, option);
    std::string key(option.substr(0, equals));
    if (find(key) != nullptr) throw_error(ExitCode::usage, "method '{}': option '{}' is given twice", base_, key);
    options_.emplace_back(std::move(key), option.substr(equals + 1));
    at = end;
  }
}

const std::string* Settings::find(const std::string& key) const {
  for (const auto& [name, value] : options_)
    if (name == key) return &value;
  return nullptr;
}

std::string Settings::choice(const std::string& key, const std::string& fallback,
                             std::vector<std::string> accepted) const {
  const std::string* value = find(key);
  if (value == nullptr) return fallback;
  if (std::find(accepted.begin(), accepted.end(), *value) == accepted.end())
    throw_error(ExitCode::usage, "method '{}': {}='{}' (accepted: {})", base_, key, *value, fmt::join(accepted, ", "));
  return *value;
}

double Settings::number(const std::string& key, double fallback, double low, double high) const {
  const std::string* text = find(key);
  if (text == nullptr) return fallback;
  double value = NAN;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || !(value >= low && value <= high))
    throw_error(ExitCode::usage, "method '{}': {}='{}' (accepted: a number from {:g} to {:g})", base_, key, *text, low,
                high);
  return value;
}

ScaleSearch Settings::grid(ScaleSearch fallback) const {
  const std::string name = choice("grid", to_string(fallback), {"absmax", "mse", "mse2", "alternate"});
  for (const ScaleSearch s : {ScaleSearch::mse, ScaleSearch::mse2, ScaleSearch::alternate})
    if (to_string(s) == name) return s;
  return ScaleSearch::absmax;
}

void Settings::accept(const std::vector<std::string>& keys) const {
  for (const auto& [name, value] : options_)
    if (std::find(keys.begin(), keys.end(), name) == keys.end())
      throw_error(ExitCode::usage, "method '{}': unknown option '{}' (accepted: {})", base_, name,
                  fmt::join(keys, ", "));
}

}  // namespace lowbit::weights
