// Tensors through the pipelines: group by group, in pieces that fit the cache, without allocation per group.
#include "formats/block.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/block_quantizer.hpp"
#include "formats/cast.hpp"
#include "formats/code_store.hpp"
#include "formats/error.hpp"
#include "formats/group_walk.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/like/like.hpp"
#include "formats/word_source.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kPiece = 1024;

/// x itself, or a copy without float32 subnormals for `flush`.
const float* flushed(const Format& format, const float* x, std::size_t n, std::vector<float>& copy) {
  if (!format.flush) return x;
  copy.resize(n);
  for (std::size_t i = 0; i < n; ++i) copy[i] = std::fabs(x[i]) < 0x1p-126f ? std::copysign(0.0f, x[i]) : x[i];
  return copy.data();
}

std::vector<float> narrowed(const double* x, std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i]);
  return out;
}

std::optional<float> tensor_scale(const Format& format, const float* x, std::size_t n, const QuantizeContext& context) {
  if (format.second_level == SecondLevel::none) return std::nullopt;
  if (!context.tensor_amax) return second_level_scale(format, finite_amax(x, n));
  if (!(*context.tensor_amax >= 0 && std::isfinite(*context.tensor_amax)))
    throw_error(ExitCode::usage, "tensor maximum {}: accepted are finite values from 0", *context.tensor_amax);
  return second_level_scale(format, *context.tensor_amax);
}

/// Codes of a group, piece by piece: use(first, codes, n) sees values first .. first + n of it.
template <class Use>
void encode_group(const BlockQuantizer& quantizer, const GroupState& state, const GroupPlace& place, const float* x,
                  WordSource& words, Use&& use) {
  std::uint32_t codes[kPiece], drawn[kPiece];
  for (std::size_t first = 0, size = place.size(); first < size; first += kPiece) {
    const std::size_t n = std::min(kPiece, size - first);
    for (std::size_t i = 0; words.wanted() && i < n; ++i) drawn[i] = words(place.index(first + i));
    quantizer.encode(state, x + first, n, words.wanted() ? drawn : nullptr, codes);
    use(first, codes, n);
  }
}

void fake_blocks(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  const GroupGrid grid(format, layout);
  std::vector<float> copy;
  x = flushed(format, x, layout.size(), copy);
  const auto quantizer = make_block_quantizer(format, tensor_scale(format, x, layout.size(), context));
  WordSource words(format, context);
  walk_groups(grid, x, y, [&](const GroupPlace& place, const float* in, float* out) {
    const GroupState state = quantizer->begin(in, place.size());
    encode_group(*quantizer, state, place, in, words,
                 [&](std::size_t first, const std::uint32_t* codes, std::size_t n) {
                   quantizer->decode(state, codes, n, out + first);
                 });
  });
}

/// Code: std::uint8_t, 16 or 32, as wide as the codes are stored.
template <class Code>
void encode_blocks(const GroupGrid& grid, const BlockQuantizer& quantizer, const float* x,
                   const QuantizeContext& context, Quantized& out) {
  WordSource words(out.format, context);
  std::vector<Code> codes_of(out.layout.size());
  walk_groups(grid, x, codes_of.data(), [&](const GroupPlace& place, const float* in, Code* to) {
    const GroupState state = quantizer.begin(in, place.size());
    out.scales[place.number] = state.scale_code;
    if (!out.zero_points.empty()) out.zero_points[place.number] = state.zero_code;
    encode_group(quantizer, state, place, in, words, [&](std::size_t first, const std::uint32_t* codes, std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) to[first + i] = static_cast<Code>(stored_code(out.format, codes[i]));
    });
  });
  for (std::size_t i = 0; i < codes_of.size(); ++i)
    put_code(out.codes.data() + i * sizeof(Code), sizeof(Code), codes_of[i]);
}

void check_sizes(const Quantized& q, std::size_t groups) {
  const std::size_t n = q.layout.size();
  if (q.code_bytes != bytes_per_code(*q.format.element) || q.codes.size() != n * q.code_bytes)
    throw_error(ExitCode::bad_data, "codes: {} bytes, {} values of {} bytes expected", q.codes.size(), n,
                bytes_per_code(*q.format.element));
  if (q.scales.size() != groups)
    throw_error(ExitCode::bad_data, "scales: {}, the format has {} groups here", q.scales.size(), groups);
  const std::size_t zero_points = q.format.zero_point == ZeroPoint::none ? 0 : groups;
  if (q.zero_points.size() != zero_points)
    throw_error(ExitCode::bad_data, "zero points: {}, {} expected", q.zero_points.size(), zero_points);
  if (q.tensor_scale.has_value() != (q.format.second_level != SecondLevel::none))
    throw_error(ExitCode::bad_data, "tensor scale: {}, the format has {}", q.tensor_scale ? "given" : "missing",
                q.format.second_level != SecondLevel::none ? "one" : "none");
}

void decode_blocks(const Quantized& q, float* y) {
  const GroupGrid grid(q.format, q.layout);
  check_sizes(q, grid.group_count());
  const auto quantizer = make_block_quantizer(q.format, q.tensor_scale);
  std::vector<std::uint32_t> codes(q.layout.size());
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = q.code(i);
  walk_groups(grid, codes.data(), y, [&](const GroupPlace& place, const std::uint32_t* in, float* out) {
    const std::uint32_t zero = q.zero_points.empty() ? 0 : q.zero_points[place.number];
    quantizer->decode(quantizer->restore(q.scales[place.number], zero), in, place.size(), out);
  });
}

}  // namespace

std::uint32_t Quantized::code(std::size_t i) const {
  return get_code(codes.data() + i * code_bytes, code_bytes) & code_mask(*format.element);
}

float finite_amax(const float* x, std::size_t n) {
  return kernels::target() == "ref" ? group_maximum(x, n).amax : kernels::finite_maximum(x, n);
}

void fake_quantize_ref(const Format& format, const Layout& layout, const float* x, float* y,
                       const QuantizeContext& context) {
  if (!format.like.empty()) return like::implementation(format.like).fake(format, layout, x, y, context);
  if (!format.is_block()) return fake_cast(format, layout, x, y, context);
  fake_blocks(format, layout, x, y, context);
}

void fake_quantize_ref(const Format& format, const Layout& layout, const double* x, float* y,
                       const QuantizeContext& context) {
  if (format.like.empty() && !format.is_block()) return fake_cast(format, layout, x, y, context);
  fake_quantize_ref(format, layout, narrowed(x, layout.size()).data(), y, context);
}

Quantized encode_ref(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  if (!format.like.empty()) {
    const like::Implementation& implementation = like::implementation(format.like);
    if (implementation.encode == nullptr)
      throw_error(ExitCode::usage, "like={}: has no codes, only values", format.like);
    return implementation.encode(format, layout, x, context);
  }
  if (!format.is_block()) return encode_cast(format, layout, x, context);
  const GroupGrid grid(format, layout);
  std::vector<float> copy;
  x = flushed(format, x, layout.size(), copy);
  Quantized out{
      format, layout, bytes_per_code(*format.element), {}, {}, {}, tensor_scale(format, x, layout.size(), context)};
  out.codes.resize(layout.size() * out.code_bytes);
  out.scales.resize(grid.group_count());
  if (format.zero_point != ZeroPoint::none) out.zero_points.resize(grid.group_count());
  const auto quantizer = make_block_quantizer(format, out.tensor_scale);
  switch (out.code_bytes) {
    case 1:
      encode_blocks<std::uint8_t>(grid, *quantizer, x, context, out);
      break;
    case 2:
      encode_blocks<std::uint16_t>(grid, *quantizer, x, context, out);
      break;
    default:
      encode_blocks<std::uint32_t>(grid, *quantizer, x, context, out);
  }
  return out;
}

Quantized encode_ref(const Format& format, const Layout& layout, const double* x, const QuantizeContext& context) {
  if (format.like.empty() && !format.is_block()) return encode_cast(format, layout, x, context);
  return encode_ref(format, layout, narrowed(x, layout.size()).data(), context);
}

void decode_ref(const Quantized& quantized, float* y) {
  const Format& format = quantized.format;
  if (!format.like.empty()) {
    const like::Implementation& implementation = like::implementation(format.like);
    if (implementation.decode == nullptr)
      throw_error(ExitCode::usage, "like={}: has no codes, only values", format.like);
    check_sizes(quantized, GroupGrid(format, quantized.layout).group_count());
    return implementation.decode(quantized, y);
  }
  if (format.is_block()) return decode_blocks(quantized, y);
  check_sizes(quantized, 0);
  decode_cast(quantized, y);
}

void fake_quantize(const Format& format, const Layout& layout, const float* x, float* y,
                   const QuantizeContext& context) {
  if (!kernels::fake_quantize(format, layout, x, y, context)) fake_quantize_ref(format, layout, x, y, context);
}

Quantized encode(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  Quantized out{format, layout, 1, {}, {}, {}, {}};
  if (kernels::encode(format, layout, x, out, context)) return out;
  return encode_ref(format, layout, x, context);
}

void decode(const Quantized& quantized, float* y) {
  const Format& format = quantized.format;
  if (format.like.empty() && format.is_block()) {
    check_sizes(quantized, GroupGrid(format, quantized.layout).group_count());
    if (kernels::decode(quantized, y)) return;
  }
  decode_ref(quantized, y);
}

}  // namespace lowbit
