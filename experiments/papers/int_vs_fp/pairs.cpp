#include "experiments/papers/int_vs_fp/pairs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace lowbit::int_vs_fp {

const Pair& pair_of(std::string_view name) {
  const auto found = std::find_if(kPairs.begin(), kPairs.end(), [&](const Pair& pair) { return pair.name == name; });
  assert(found != kPairs.end());
  return *found;
}

std::string paper_format(std::string_view preset, std::size_t group) {
  std::string name(preset);
  if (group == kWholeAxis) {
    name += ":channel";
  } else if (group != 0) {
    name += fmt::format(":g{}", group);
  }
  if (preset.starts_with("mx")) name += ":rule=ceil";
  return name;
}

}  // namespace lowbit::int_vs_fp
