// bench_transform: blockwise Walsh-Hadamard transforms, alone and with a quantiser, beside the memory limit.
#include <fmt/format.h>

#include <memory>

#include "experiments/core/command_line.hpp"
#include "formats/block.hpp"
#include "formats/primitives.hpp"
#include "formats/rotate.hpp"
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

/// Transform and quantiser in one call, or one after the other with a pass for the tensor's maximum where the format
/// has a second level; on the whole tensor.
Phases fused(const std::string& name, std::size_t n, bool back, float* x, float* y, std::size_t threads) {
  const auto pool = std::make_shared<Threads>(threads);
  return {[=, format = parse_format(name)](std::size_t, std::size_t count) {
    QuantizeContext context;
    context.workers = pool.get();
    rotate_quantize(format, Layout::matrix(count / 4096, 4096), {n, nullptr, back}, x, y, context);
  }};
}

Phases steps(const std::string& name, std::size_t n, bool back, float* x, float* y, std::size_t threads) {
  const auto pool = std::make_shared<Threads>(threads);
  const auto transform = [=](const float* from, bool inverse) {
    return [=](std::size_t, std::size_t count) {
      const std::size_t piece = std::size_t{1} << 18;
      pool->parallel_for(count / piece, [&](std::size_t i) {
        hadamard(from + i * piece, y + i * piece, n, piece / n, nullptr, inverse);
      });
    };
  };
  Phases phases{transform(x, false), [=, format = parse_format(name)](std::size_t, std::size_t count) {
                  QuantizeContext context;
                  context.workers = pool.get();
                  fake_quantize(format, Layout::matrix(count / 4096, 4096), y, y, context);
                }};
  if (back) phases.push_back(transform(y, true));
  return phases;
}

Case fused_case(const std::string& format, std::size_t n, bool back, bool in_place, bool against_steps) {
  const bool levels = parse_format(format).second_level != SecondLevel::none;
  const Pattern pattern = in_place ? (levels ? Pattern::two_pass_in_place : Pattern::in_place)
                          : levels ? Pattern::two_pass
                                   : Pattern::copy;
  Case item{fmt::format("hadamard+quantise{}{}", back ? "+back" : "", against_steps ? " over steps" : ""),
            fmt::format("{} had:{}", format, n),
            pattern,
            in_place ? "in" : "out",
            against_steps ? 1.0 : 0.75,
            {}};
  item.prepare = [=](float* x, float* y, const Setting& s) {
    return fused(format, n, back, x, in_place ? x : y, s.threads);
  };
  item.whole = true;
  if (!against_steps) return item;
  item.baseline = [=](float* x, float* y, const Setting& s) {
    return steps(format, n, back, x, in_place ? x : y, s.threads);
  };
  item.baseline_name = "transform and quantiser one after the other";
  return item;
}

void add_fused(std::vector<std::pair<Case, Setting>>& list, const Setting& memory) {
  for (const char* format : {"mxfp4", "nvfp4"})
    for (const std::size_t n : {16, 32, 128, 256})
      for (const bool in_place : {true, false}) {
        list.push_back({fused_case(format, n, false, in_place, false), memory});
        list.push_back({fused_case(format, n, false, in_place, true), memory});
      }
  for (const char* format : {"mxfp4", "nvfp4"}) {
    list.push_back({fused_case(format, 32, true, true, false), memory});
    list.push_back({fused_case(format, 32, true, true, true), memory});
  }
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
    add_fused(list, memory);
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
