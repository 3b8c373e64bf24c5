#include "sim/early_exit/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "formats/error.hpp"

namespace lowbit::early_exit {

namespace {
constexpr std::array<DetectorKind, 11> kKinds{{
    {"rcpd", "rules=15 bit set of C_sat 1, C_conv 2, C_short 4, C_long 8; scale=1 factor on every threshold",
     make_rcpd},
    {"rank", "at=5 rank at which to stop, at sentence ends", make_rank_rule},
    {"token-rank", "at=5 rank at which to stop, after any token", make_token_rank_rule},
    {"probability", "tau=0.5 probability above which to stop", make_probability},
    {"logit-boost", "alpha=0.6 boost of the end token", make_logit_boost},
    {"deer", "threshold=0.95 confidence above which to stop; trials=10", make_deer},
    {"deer-geometric", "threshold=0.95 confidence above which to stop; trials=10", make_deer_geometric},
    {"consistency", "k=10 identical answers in a row", make_consistency},
    {"budget", "tokens=8192 thinking tokens", make_budget},
    {"full", "", make_full},
    {"no-think", "", make_no_think},
}};
}  // namespace

Options::Options(std::string_view detector, std::string_view text) : detector_(detector) {
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(':'));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      throw_error(ExitCode::usage, "detector '{}': '{}' is not key=value", detector_, item);
    }
    if (!values_.emplace(item.substr(0, equals), item.substr(equals + 1)).second) {
      throw_error(ExitCode::usage, "detector '{}': parameter '{}' is given twice", detector_, item.substr(0, equals));
    }
  }
}

template <class T>
T Options::read(const std::string& key, T fallback, T low, T high, const char* what) {
  known_.push_back(key);
  const auto found = values_.find(key);
  if (found == values_.end()) return fallback;
  const std::string& text = found->second;
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= low && value <= high)) {
    throw_error(ExitCode::usage, "detector '{}': {}={} is not {} from {} to {}", detector_, key, text, what, low, high);
  }
  return value;
}

double Options::number(const std::string& key, double fallback, double low, double high) {
  return read(key, fallback, low, high, "a number");
}

std::int64_t Options::integer(const std::string& key, std::int64_t fallback, std::int64_t low, std::int64_t high) {
  return read(key, fallback, low, high, "a whole number");
}

void Options::finish() const {
  for (const auto& [key, value] : values_) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    throw_error(ExitCode::usage, "detector '{}' has no parameter '{}'; it has: {}", detector_, key,
                known_.empty() ? "none" : fmt::format("{}", fmt::join(known_, ", ")));
  }
}

std::span<const DetectorKind> detector_kinds() {
  return kKinds;
}

std::unique_ptr<Detector> make_detector(std::string_view spec) {
  const std::string_view name = spec.substr(0, spec.find(':'));
  std::vector<std::string_view> known;
  for (const DetectorKind& kind : kKinds) {
    known.push_back(kind.name);
    if (kind.name != name) continue;
    Options options(name, spec.size() > name.size() ? spec.substr(name.size() + 1) : std::string_view{});
    auto detector = kind.make(options);
    options.finish();
    return detector;
  }
  throw_error(ExitCode::usage, "unknown detector '{}'; known: {}", name, fmt::join(known, ", "));
}

}  // namespace lowbit::early_exit
