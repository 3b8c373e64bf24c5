#include <fmt/format.h>

#include <array>

#include "formats/error.hpp"
#include "sim/early_exit/generator.hpp"

namespace lowbit::early_exit {

namespace {
constexpr std::array<Profile, 6> kProfiles{{
    {"qwen3-8b", "Qwen3-8B", 6900, 0.85, 6800, 0.745, 0.05, 0.29, 0.0025},
    {"qwen3-14b", "Qwen3-14B", 6400, 0.85, 5300, 0.785, 0.035, 0.31, 0.0028},
    {"qwen3-30b-a3b", "Qwen3-30B-A3B", 8700, 0.85, 3100, 0.835, 0.035, 0.31, 0.0018},
    {"qwen3-32b", "Qwen3-32B", 7300, 0.85, 4100, 0.82, 0.035, 0.31, 0.0018},
    {"r1-distill-8b", "R1-Distill-8B", 14900, 0.65, 3300, 0.765, 0.015, 0.29, 0.0015},
    {"qwen3-8b-gpqa", "Qwen3-8B, GPQA-like", 3100, 0.80, 5900, 0.72, 0.09, 0.40, 0.003},
}};
}  // namespace

std::span<const Profile> profiles() { return kProfiles; }

const Profile& profile(std::string_view name) {
  std::string known;
  for (const Profile& p : kProfiles) {
    if (p.name == name) return p;
    known += (known.empty() ? "" : ", ") + std::string(p.name);
  }
  throw_error(ExitCode::usage, "unknown profile '{}'; known: {}", name, known);
}

}  // namespace lowbit::early_exit
