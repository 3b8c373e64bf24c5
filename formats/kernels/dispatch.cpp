// Which target runs, and the caller's floating-point state.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwy/highway.h>
#include <hwy/targets.h>
#include <cstdlib>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "formats/error.hpp"
#include "formats/kernels/kernels.hpp"

namespace lowbit::kernels {

namespace {

/// Targets that were compiled, run here and beat the reference: neither the scalar nor the 128-bit emulation.
std::int64_t find_usable_targets() {
  std::int64_t emulated = HWY_SCALAR;
#ifdef HWY_EMU128
  emulated |= HWY_EMU128;
#endif
  hwy::SetSupportedTargetsForTest(0);
  return static_cast<std::int64_t>(hwy::SupportedTargets()) & HWY_TARGETS & ~emulated;
}

std::int64_t usable_targets() {
  static const std::int64_t usable = find_usable_targets();
  return usable;
}

struct Choice {
  std::string name;     ///< "ref" or the target's
  std::int64_t target;  ///< 0: ref
};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out == "AVX512" ? "AVX3" : out;
}

Choice choose(std::string_view wanted) {
  const std::int64_t usable = usable_targets();
  if (wanted == "ref") return {"ref", 0};
  if (wanted.empty()) {
    if (usable == 0) return {"ref", 0};
    const std::int64_t best = usable & -usable;  // lower bits are better targets
    return {hwy::TargetName(best), best};
  }
  for (std::int64_t rest = usable; rest != 0; rest &= rest - 1) {
    const std::int64_t one = rest & -rest;
    if (upper(wanted) == upper(hwy::TargetName(one))) return {hwy::TargetName(one), one};
  }
  throw_error(ExitCode::usage, "LOWBIT_KERNEL='{}': not a kernel of this build and machine; accepted: {}", wanted,
              fmt::join(targets(), ", "));
}

void apply(const Choice& choice) {
  if (choice.target != 0) hwy::SetSupportedTargetsForTest(choice.target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

Choice& current() {
  static Choice choice = [] {
    const char* wanted = std::getenv("LOWBIT_KERNEL");
    Choice c = choose(wanted == nullptr ? "" : wanted);
    apply(c);
    return c;
  }();
  return choice;
}

}  // namespace

std::string_view target() {
  return current().name;
}

std::vector<std::string> targets() {
  std::vector<std::string> names;
  for (std::int64_t rest = usable_targets(); rest != 0; rest &= rest - 1)
    names.emplace_back(hwy::TargetName(rest & -rest));
  names.emplace_back("ref");
  return names;
}

void force_target(std::string_view name) {
  Choice& choice = current();
  choice = choose(name);
  apply(choice);
}

std::string_view highway_version() {
#define LOWBIT_TEXT2(x) #x
#define LOWBIT_TEXT(x) LOWBIT_TEXT2(x)
  return LOWBIT_TEXT(HWY_MAJOR) "." LOWBIT_TEXT(HWY_MINOR) "." LOWBIT_TEXT(HWY_PATCH);
}

#if defined(__SSE2__)
DefaultRounding::DefaultRounding() : saved_(_mm_getcsr()) {
  _mm_setcsr((saved_ & 0x3fu) | 0x1f80u);
}
DefaultRounding::~DefaultRounding() {
  _mm_setcsr((saved_ & ~0x3fu) | (_mm_getcsr() & 0x3fu));
}
#else
DefaultRounding::DefaultRounding() : saved_(0) {}
DefaultRounding::~DefaultRounding() = default;
#endif

}  // namespace lowbit::kernels
