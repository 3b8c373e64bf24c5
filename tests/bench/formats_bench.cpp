// bench_formats: each kernel of the formats beside the fastest code that only moves the same memory.
//
// A loop of our own and not Google Benchmark: limit and case must alternate within each repetition, since the bandwidth
// of a shared machine wanders by a factor of two within minutes, and the result is the median over ratios of such
// pairs.
#include <algorithm>
#include <memory>

#include "experiments/core/command_line.hpp"
#include "formats/block.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/packed.hpp"
#include "tests/bench/support/report.hpp"

namespace lowbit::bench {
namespace {

constexpr std::size_t kColumns = 4096;
constexpr const char* kMxElements[] = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2",
                                       "mxfp4",      "mxint8",     "mxint6",     "mxint4"};

/// y (or x in place) = fake-quantised x. In memory one call shares the tensor among the threads; in the cache each
/// thread has a tensor of its own.
Case fake_case(const std::string& name, double target, bool in_place, bool cached = false) {
  const Format format = parse_format(name);
  const bool twice = format.second_level != SecondLevel::none || format.group == GroupKind::tensor;
  const Pattern once = in_place ? Pattern::in_place : Pattern::copy;
  const Pattern pattern = !twice ? once : in_place ? Pattern::two_pass_in_place : Pattern::two_pass;
  Case item{"fake_quantize", name, pattern, in_place ? "in" : "out", target, {}};
  item.whole = !cached;
  item.prepare = [format, in_place, cached](float* x, float* y, const Setting& s) {
    const auto pool = cached ? nullptr : std::make_shared<Threads>(s.threads);
    return Phases{[=](std::size_t first, std::size_t n) {
      QuantizeContext context;
      context.workers = pool.get();
      fake_quantize(format, Layout::matrix(n / kColumns, kColumns), x + first, (in_place ? x : y) + first, context);
    }};
  };
  return item;
}

/// Packed codes and scales of x; storage is kept between the runs.
Case encode_case(const std::string& name, double target) {
  Case item{"encode packed", name, Pattern::read, "read", target, {}};
  item.whole = true;
  item.prepare = [format = parse_format(name)](float* x, float*, const Setting& s) {
    const auto pool = std::make_shared<Threads>(s.threads);
    const auto packed = std::make_shared<PackedTensor>();
    return Phases{[=](std::size_t, std::size_t n) {
      QuantizeContext context;
      context.workers = pool.get();
      quantize_packed(format, Layout::matrix(n / kColumns, kColumns), x, *packed, context);
    }};
  };
  return item;
}

Case decode_case(const std::string& name, double target) {
  Case item{"decode packed", name, Pattern::write, "write", target, {}};
  item.whole = true;
  item.prepare = [format = parse_format(name)](float* x, float* y, const Setting& s) {
    const auto pool = std::make_shared<Threads>(s.threads);
    const auto packed = std::make_shared<PackedTensor>();
    quantize_packed(format, Layout::matrix(s.values / kColumns, kColumns), x, *packed);
    return Phases{[=](std::size_t, std::size_t) { dequantize_packed(*packed, y, pool.get()); }};
  };
  return item;
}

/// Groups down the columns of a row-major matrix.
Case across_case(const std::string& name, double target) {
  Case item{"across the axis", name, Pattern::copy, "out", target, {}};
  item.whole = true;
  item.prepare = [format = parse_format(name)](float* x, float* y, const Setting& s) {
    const auto pool = std::make_shared<Threads>(s.threads);
    return Phases{[=](std::size_t, std::size_t n) {
      QuantizeContext context;
      context.workers = pool.get();
      fake_quantize(format, Layout({n / kColumns, kColumns}, 0), x, y, context);
    }};
  };
  return item;
}

std::vector<Case> packed_cases() {
  std::vector<Case> cases;
  for (const char* name : {"mxfp4", "mxfp6_e2m3", "mxfp8_e4m3", "mxint8:rule=ceil", "mxint4", "int4:g128:s=fp16"}) {
    cases.push_back(encode_case(name, 0.8));
    cases.push_back(decode_case(name, 0.8));
  }
  for (const char* name : {"mxfp4", "mxint8", "int4:g128:s=fp16"}) cases.push_back(across_case(name, 0.6));
  return cases;
}

std::vector<Case> memory_cases(bool in_place) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, double target) { cases.push_back(fake_case(name, target, in_place)); };
  for (const char* element : kMxElements)
    for (const char* rule : {"floor", "ceil"})
      if (!in_place || std::string(rule) == "ceil") add(std::string(element) + ":rule=" + rule, 0.9);
  for (const char* name : {"nvfp4", "nvint4"}) add(name, 0.85);
  if (in_place) return cases;
  for (const char* name : {"int8:g128", "int4:g128:s=fp16", "int4:g32:s=fp16:asym", "int8:channel", "e4m3:channel",
                           "e5m2:channel", "e4m3:tensor", "bf16", "fp16", "tf32"})
    add(name, 0.85);
  for (const char* name : {"nf4", "ternary:g128", "mxfp4:round=sr"}) add(name, 0.5);
  return cases;
}

/// A pass over blocks with the least arithmetic, beside the copy.
Case least_case(double target) {
  Case item{"block pass", "absmax, scale, round", Pattern::copy, "out", target, {}};
  item.prepare = [](float* x, float* y, const Setting&) {
    return Phases{[=](std::size_t first, std::size_t n) { run_block_pass(x + first, y + first, n); }};
  };
  return item;
}

/// In the cache a copy is far faster than any arithmetic: the ratio to the least block pass says what the format adds.
std::vector<Case> cache_cases() {
  std::vector<Case> cases{least_case(0)};
  for (const char* element : kMxElements)
    for (const char* rule : {"floor", "ceil"}) {
      Case item = fake_case(std::string(element) + ":rule=" + rule, 0.75, false, true);
      cases.push_back(item);
      item.name += " over block pass";
      item.baseline = least_case(0).prepare;
      item.baseline_name = "block pass: absmax, scale, round";
      cases.push_back(item);
    }
  return cases;
}

std::vector<std::pair<Case, Setting>> cases(const std::string& threads, std::size_t mib, bool quick) {
  std::vector<std::pair<Case, Setting>> list;
  for (const std::size_t count : thread_counts(threads)) {
    const Setting memory{values_of(mib), count, Pages::huge, false};
    for (const bool in_place : {false, true})
      for (Case& item : memory_cases(in_place)) list.push_back({item, memory});
    for (Case& item : packed_cases()) list.push_back({item, memory});
    for (Case& item : cache_cases()) list.push_back({item, cached_setting(count)});
    for (const char* name : {"mxfp4:rule=floor", "mxint8:rule=ceil"})
      if (!quick) list.push_back({fake_case(name, 0.9, false), {values_of(mib), count, Pages::plain, false}});
  }
  return list;
}

int run(const std::vector<std::string>& words) {
  return run_suite(
      {"bench_formats", "speed of the kernels of the formats, beside the limit of the machine's memory", cases}, words);
}

}  // namespace
}  // namespace lowbit::bench

int main(int argc, char** argv) {
  return lowbit::guarded_main("bench_formats", lowbit::bench::run, {argv + 1, argv + argc});
}
