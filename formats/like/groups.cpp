#include "formats/like/groups.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "formats/error.hpp"
#include "formats/like/float_math.hpp"

namespace lowbit::like {
namespace {

std::span<const float> gather(const Run& run, const float* x, std::vector<float>& values) {
  values.resize(run.count);
  for (std::size_t i = 0; i < run.count; ++i) values[i] = x[run.first + i * run.stride];
  return values;
}

float tensor_amax_of(const Layout& layout, const float* x, const QuantizeContext& context) {
  return context.tensor_amax ? *context.tensor_amax : amax_or_nan({x, layout.size()});
}

float tensor_scale_of(const Pipeline& pipeline, const Format& format, const Layout& layout, const float* x,
                      const QuantizeContext& context) {
  if (format.second_level == SecondLevel::none) return 1.0f;
  return pipeline.tensor_scale(format, tensor_amax_of(layout, x, context));
}

std::size_t largest_group(const Format& format, const Layout& layout) {
  std::size_t most = 0;
  for_each_run(format, layout, [&](const Run& run) { most = std::max(most, run.count); });
  return most;
}

void refuse_tiles(const Format& format) {
  if (format.group == GroupKind::tile)
    throw_error(ExitCode::usage, "like={} has no tiles; use gN, channel or tensor", format.like);
}

}  // namespace

void fake(const Pipeline& pipeline, const Format& format, const Layout& layout, const float* x, float* y,
          const QuantizeContext& context) {
  refuse_tiles(format);
  const float tensor_scale = tensor_scale_of(pipeline, format, layout, x, context);
  std::vector<float> values;
  std::vector<std::uint8_t> codes(largest_group(format, layout));
  for_each_run(format, layout, [&](const Run& run) {
    GroupCodes group;
    pipeline.quantize(format, tensor_scale, gather(run, x, values), codes.data(), group);
    pipeline.dequantize(format, tensor_scale, {codes.data(), run.count}, group, values.data());
    for (std::size_t i = 0; i < run.count; ++i) y[run.first + i * run.stride] = values[i];
  });
}

Quantized encode(const Pipeline& pipeline, const Format& format, const Layout& layout, const float* x,
                 const QuantizeContext& context) {
  refuse_tiles(format);
  Quantized out;
  out.format = format;
  out.layout = layout;
  out.codes.resize(layout.size());
  const float tensor_scale = tensor_scale_of(pipeline, format, layout, x, context);
  if (format.second_level != SecondLevel::none) out.tensor_scale = tensor_scale;
  const bool has_zero_points = format.zero_point != ZeroPoint::none;
  std::vector<float> values;
  std::vector<std::uint8_t> codes(largest_group(format, layout));
  for_each_run(format, layout, [&](const Run& run) {
    GroupCodes group;
    pipeline.quantize(format, tensor_scale, gather(run, x, values), codes.data(), group);
    for (std::size_t i = 0; i < run.count; ++i) out.codes[run.first + i * run.stride] = codes[i];
    if (run.index >= out.scales.size()) out.scales.resize(run.index + 1);
    out.scales[run.index] = group.scale;
    if (!has_zero_points) return;
    if (run.index >= out.zero_points.size()) out.zero_points.resize(run.index + 1);
    out.zero_points[run.index] = group.zero_point;
  });
  return out;
}

void decode(const Pipeline& pipeline, const Quantized& quantized, float* y) {
  const Format& format = quantized.format;
  std::vector<std::uint8_t> codes;
  std::vector<float> values;
  for_each_run(format, quantized.layout, [&](const Run& run) {
    codes.resize(run.count);
    values.resize(run.count);
    for (std::size_t i = 0; i < run.count; ++i) codes[i] = quantized.codes[run.first + i * run.stride];
    const GroupCodes group{quantized.scales[run.index],
                           quantized.zero_points.empty() ? 0u : quantized.zero_points[run.index]};
    pipeline.dequantize(format, quantized.tensor_scale.value_or(1.0f), codes, group, values.data());
    for (std::size_t i = 0; i < run.count; ++i) y[run.first + i * run.stride] = values[i];
  });
}

void fake(FakeGroup quantize, const Format& format, const Layout& layout, const float* x, float* y,
          const QuantizeContext& context) {
  refuse_tiles(format);
  const float tensor_amax = format.second_level == SecondLevel::none ? 0.0f : tensor_amax_of(layout, x, context);
  std::vector<float> values, result(largest_group(format, layout));
  for_each_run(format, layout, [&](const Run& run) {
    quantize(format, tensor_amax, gather(run, x, values), result.data());
    for (std::size_t i = 0; i < run.count; ++i) y[run.first + i * run.stride] = result[i];
  });
}

void require_one_of(const Format& format, std::string_view implementation, std::span<const std::string_view> formats,
                    unsigned open, std::string_view detail) {
  for (const std::string_view name : formats) {
    Format known = parse_format(name);
    if (open & kOpenRule) known.rule = format.rule;
    if (open & kOpenSecondLevel) known.second_level = format.second_level;
    if (open & kOpenRounding) known.conversion.rounding = format.conversion.rounding;
    if (open & kOpenFlush) known.flush = format.flush;
    if (open & kOpenGroup) {
      known.group = format.group;
      known.group_size = format.group_size;
    }
    known.like = format.like;
    known.preset = format.preset;
    if (known == format) return;
  }
  Format asked = format;
  asked.like.clear();
  throw_error(ExitCode::usage, "like={} does not have '{}'; it has {}{}", implementation, to_string(asked),
              fmt::join(formats, ", "), detail);
}

}  // namespace lowbit::like
