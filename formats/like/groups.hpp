// What the named implementations share: walking a tensor group by group, and refusing what an implementation lacks.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>
#include <vector>

#include "formats/block.hpp"

namespace lowbit::like {

/// One group of a tensor: values first, first + stride, ... (count of them).
struct Run {
  std::size_t index;  ///< group number, as in Quantized
  std::size_t first, stride, count;
};

/// Visits the groups in order. Groups of size N, channels, and the whole tensor; tiles are not runs (Error).
template <class Visit>
void for_each_run(const Format& format, const Layout& layout, Visit&& visit);

/// The codes that belong to a group beside those of its values.
struct GroupCodes {
  std::uint32_t scale = 0;       ///< code of format.scale_element (fp32: the bits)
  std::uint32_t zero_point = 0;  ///< as in Quantized
};

/// An implementation with codes, group by group. The second-level scale is made once per tensor.
struct Pipeline {
  /// Second-level scale of a tensor of that maximum, as the implementation takes it: NaN if a value is NaN, Inf if one
  /// is infinite. Not called for formats without second level.
  float (*tensor_scale)(const Format& format, float amax);
  /// One code (a byte) per value, and the group's own.
  void (*quantize)(const Format& format, float tensor_scale, std::span<const float> x, std::uint8_t* codes,
                   GroupCodes& group);
  /// Values of a group's codes.
  void (*dequantize)(const Format& format, float tensor_scale, std::span<const std::uint8_t> codes, GroupCodes group,
                     float* y);
};

void fake(const Pipeline& pipeline, const Format& format, const Layout& layout, const float* x, float* y,
          const QuantizeContext& context);
Quantized encode(const Pipeline& pipeline, const Format& format, const Layout& layout, const float* x,
                 const QuantizeContext& context);
void decode(const Pipeline& pipeline, const Quantized& quantized, float* y);

/// An implementation without codes: y = what it makes of the group x; `tensor_amax` as above.
using FakeGroup = void (*)(const Format& format, float tensor_amax, std::span<const float> x, float* y);
void fake(FakeGroup quantize, const Format& format, const Layout& layout, const float* x, float* y,
          const QuantizeContext& context);

/// The three entries of an Implementation that is one pipeline, or one fake quantiser of a group.
/// Pipelines have names of their own all over the program: g++ 14 gives instances for equally named objects of several
/// anonymous namespaces one weak symbol, and the linker then keeps one of them for all.
template <const Pipeline& pipeline>
void fake_with(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  fake(pipeline, format, layout, x, y, context);
}
template <FakeGroup quantize>
void fake_with(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  fake(quantize, format, layout, x, y, context);
}
template <const Pipeline& pipeline>
Quantized encode_with(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  return encode(pipeline, format, layout, x, context);
}
template <const Pipeline& pipeline>
void decode_with(const Quantized& quantized, float* y) {
  decode(pipeline, quantized, y);
}

/// Options of a format that an implementation leaves open; all others must be those of one of its formats.
enum Open : unsigned {
  kOpenNothing = 0,
  kOpenRule = 1,
  kOpenSecondLevel = 2,
  kOpenRounding = 4,
  kOpenGroup = 8,
  kOpenFlush = 16
};

/// Errors, listing `formats`, unless `format` is one of them up to the open options. `detail` tells the values of
/// these.
void require_one_of(const Format& format, std::string_view implementation, std::span<const std::string_view> formats,
                    unsigned open = kOpenNothing, std::string_view detail = {});

template <class Visit>
void for_each_run(const Format& format, const Layout& layout, Visit&& visit) {
  if (format.group == GroupKind::tensor || format.group == GroupKind::none) {
    if (layout.size() > 0) visit(Run{0, 0, 1, layout.size()});
    return;
  }
  const std::size_t length = layout.length(), inner = layout.inner();
  const std::size_t size = format.group == GroupKind::size ? format.group_size : length;
  if (length == 0 || inner == 0) return;
  const std::size_t groups = (length + size - 1) / size;
  for (std::size_t o = 0; o < layout.outer(); ++o)
    for (std::size_t j = 0; j < groups; ++j)
      for (std::size_t k = 0; k < inner; ++k)
        visit(Run{(o * groups + j) * inner + k, (o * length + j * size) * inner + k, inner,
                  j + 1 < groups ? size : length - j * size});
}

}  // namespace lowbit::like
