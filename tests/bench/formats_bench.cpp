// bench_formats: each kernel of the formats beside the fastest code that only moves the same memory.
//
// A loop of our own and not Google Benchmark: limit and case must alternate within each repetition, since the bandwidth
// of a shared machine wanders by a factor of two within minutes, and the result is the median over ratios of such
// pairs.
#include <algorithm>
#include <map>
#include <memory>

#include "experiments/core/command_line.hpp"
#include "formats/block.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/packed.hpp"
#include "tests/bench/support/report.hpp"

namespace lowbit::bench {
namespace {

constexpr std::size_t kColumns = 4096;

/// y (or x in place) = fake-quantised x, each thread its own rows; a second-level scale takes a first pass.
Case fake_case(const std::string& name, double target, bool in_place) {
  const Format format = parse_format(name);
  const bool levels = format.second_level != SecondLevel::none;
  Case item{"fake_quantize",
            name,
            levels && in_place ? Pattern::two_pass_in_place
            : levels           ? Pattern::two_pass
            : in_place         ? Pattern::in_place
                               : Pattern::copy,
            in_place ? "in" : "out",
            target,
            {}};
  item.prepare = [format, levels, in_place](float* x, float* y, const Setting&) {
    const auto maxima = std::make_shared<std::vector<float>>(1024, 0.0f);
    Phases phases;
    if (levels)
      phases.push_back(
          [=](std::size_t first, std::size_t n) { (*maxima)[first / 4096 % 1024] = finite_amax(x + first, n); });
    phases.push_back([=](std::size_t first, std::size_t n) {
      QuantizeContext context;
      context.first_index = first;
      if (levels) context.tensor_amax = *std::max_element(maxima->begin(), maxima->end());
      const Layout layout = Layout::matrix(n / kColumns, kColumns);
      fake_quantize(format, layout, x + first, (in_place ? x : y) + first, context);
    });
    return phases;
  };
  return item;
}

/// Packed codes and scales of x, each thread its own rows; storage is kept between the runs.
using PackedParts = std::shared_ptr<std::map<std::size_t, PackedTensor>>;
Phase packing(const Format& format, const float* x, const PackedParts& parts) {
  return [=](std::size_t first, std::size_t n) {
    QuantizeContext context;
    context.first_index = first;
    quantize_packed(format, Layout::matrix(n / kColumns, kColumns), x + first, parts->at(first), context);
  };
}

PackedParts make_parts(const Setting& s) {
  auto parts = std::make_shared<std::map<std::size_t, PackedTensor>>();
  for (std::size_t i = 0; i < s.threads; ++i) (*parts)[i * (s.values / s.threads / 4096 * 4096)];
  return parts;
}

Case encode_case(const std::string& name, double target) {
  const Format format = parse_format(name);
  Case item{"encode packed", name, Pattern::read, "read", target, {}};
  item.prepare = [format](float* x, float*, const Setting& s) { return Phases{packing(format, x, make_parts(s))}; };
  return item;
}

Case decode_case(const std::string& name, double target) {
  const Format format = parse_format(name);
  Case item{"decode packed", name, Pattern::write, "write", target, {}};
  item.prepare = [format](float* x, float* y, const Setting& s) {
    const PackedParts parts = make_parts(s);
    for (auto& [first, part] : *parts) {
      const std::size_t size = s.values / s.threads / 4096 * 4096, left = s.values - first;
      packing(format, x, parts)(first, left < 2 * size ? left : size);
    }
    return Phases{[=](std::size_t first, std::size_t) { dequantize_packed(parts->at(first), y + first); }};
  };
  return item;
}

/// Groups down the columns of a row-major matrix.
Case across_case(const std::string& name, double target) {
  const Format format = parse_format(name);
  Case item{"across the axis", name, Pattern::copy, "out", target, {}};
  item.prepare = [format](float* x, float* y, const Setting&) {
    return Phases{[=](std::size_t first, std::size_t n) {
      fake_quantize(format, Layout({n / kColumns, kColumns}, 0), x + first, y + first);
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

std::vector<Case> all_cases(bool in_place) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, double target) { cases.push_back(fake_case(name, target, in_place)); };
  for (const char* element :
       {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "mxint8", "mxint6", "mxint4"})
    for (const char* rule : {"floor", "ceil"}) add(std::string(element) + ":rule=" + rule, 0.9);
  for (const char* name : {"nvfp4", "nvint4"}) add(name, 0.85);
  for (const char* name : {"int8:g128", "int4:g128:s=fp16", "int4:g32:s=fp16:asym", "int8:channel", "e4m3:channel",
                           "e5m2:channel", "bf16", "fp16", "tf32"})
    add(name, 0.85);
  for (const char* name : {"nf4", "ternary:g128", "mxfp4:round=sr"}) add(name, 0.5);
  return cases;
}

std::vector<std::pair<Case, Setting>> cases(const std::string& threads, std::size_t mib, bool quick) {
  std::vector<std::pair<Case, Setting>> list;
  for (const std::size_t count : thread_counts(threads)) {
    for (const bool in_place : {false, true})
      for (Case& item : all_cases(in_place)) list.push_back({item, {values_of(mib), count, Pages::huge, false}});
    for (Case& item : packed_cases()) list.push_back({item, {values_of(mib), count, Pages::huge, false}});
    for (Case& item : all_cases(false))
      if (item.format.rfind("mx", 0) == 0 && item.target == 0.9) {
        item.target = 0.75;
        list.push_back({item, cached_setting(count)});
      }
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
