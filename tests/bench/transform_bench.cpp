// bench_transform: blockwise Walsh-Hadamard transforms, alone and with a quantiser, beside the memory limit.
#include <fmt/format.h>

#include <memory>

#include "experiments/core/command_line.hpp"
#include "formats/primitives.hpp"
#include "tests/bench/support/report.hpp"

namespace lowbit::bench {
namespace {

Case transform_case(std::size_t n, bool with_signs, bool in_place, double target) {
  Case item{"hadamard",
            fmt::format("{}:{}", with_signs ? "rhad" : "had", n),
            in_place ? Pattern::in_place : Pattern::copy,
            in_place ? "in" : "out",
            target,
            {}};
  item.prepare = [=](float* x, float* y, const Setting&) -> Phases {
    const auto signs = std::make_shared<std::vector<float>>(n);
    random_signs(signs->data(), n, 1, 0);
    return {[=](std::size_t first, std::size_t count) {
      hadamard(x + first, (in_place ? x : y) + first, n, count / n, with_signs ? signs->data() : nullptr, false);
    }};
  };
  return item;
}

std::vector<std::pair<Case, Setting>> cases(const std::string& threads, std::size_t mib, bool) {
  std::vector<std::pair<Case, Setting>> list;
  for (const std::size_t count : thread_counts(threads)) {
    const Setting memory{values_of(mib), count, Pages::huge, false};
    for (const std::size_t n : {16, 32, 64, 128, 256}) list.push_back({transform_case(n, false, true, 0.8), memory});
    for (const std::size_t n : {32, 128}) {
      list.push_back({transform_case(n, true, true, 0.8), memory});
      list.push_back({transform_case(n, false, false, 0), memory});
    }
    for (const std::size_t n : {512, 1024, 4096}) list.push_back({transform_case(n, false, true, 0), memory});
  }
  return list;
}

int run(const std::vector<std::string>& words) {
  return run_suite(
      {"bench_transform", "speed of the block transforms, beside the limit of the machine's memory", cases}, words);
}

}  // namespace
}  // namespace lowbit::bench

int main(int argc, char** argv) {
  return lowbit::guarded_main("bench_transform", lowbit::bench::run, {argv + 1, argv + argc});
}
