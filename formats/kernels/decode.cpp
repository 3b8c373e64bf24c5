// Vector kernels of decode for contiguous groups of codes of at most 8 bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/decode.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "formats/code_store.hpp"
#include "formats/kernels/columns.hpp"
#include "formats/kernels/encode.hpp"
#include "formats/kernels/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

HWY_INLINE V canonical(V v) {
  return hn::IfThenElse(hn::IsNaN(v), float_of(hn::Set(DI(), 0x7fc00000)), v);
}

/// Any codes of a floating element, also those of NaN and Inf.
struct FloatDecoder {
  int sign_bit, drop;
  std::int32_t max_code, infinity_code, nan_code;
  float factor;  ///< from the exponents of float to those of the element
  explicit FloatDecoder(const ElementParams& p)
      : sign_bit(p.bits - 1),
        drop(23 - p.mantissa_bits),
        max_code(p.max_code),
        infinity_code(p.infinity_code),
        nan_code(p.negative_zero ? -1 : 1 << (p.bits - 1)),
        factor(p.decode_factor) {}
  HWY_INLINE V operator()(VI code) const {
    const D d;
    const DI di;
    const VI sign = hn::And(code, hn::Set(di, 1 << sign_bit));
    const VI magnitude = hn::Xor(code, sign);
    const V value = hn::Mul(float_of(hn::ShiftLeftSame(magnitude, drop)), hn::Set(d, factor));
    const V beyond = float_of(hn::IfThenElse(hn::Eq(magnitude, hn::Set(di, infinity_code)), hn::Set(di, 0x7f800000),
                                             hn::Set(di, 0x7fc00000)));
    const auto special = hn::Or(hn::Gt(magnitude, hn::Set(di, max_code)), hn::Eq(code, hn::Set(di, nan_code)));
    const V v = hn::IfThenElse(hn::RebindMask(d, special), beyond, value);
    return hn::Or(v, float_of(hn::ShiftLeftSame(sign, 31 - sign_bit)));
  }
};

struct IntegerDecoder {
  int unused;
  explicit IntegerDecoder(const ElementParams& p) : unused(32 - p.bits) {}
  HWY_INLINE V operator()(VI code) const {
    const VI up = hn::ShiftLeftSame(code, unused);
    return hn::ConvertTo(D(), hn::ShiftRightSame(up, unused));
  }
};

struct UnsignedDecoder {
  std::int32_t mask;
  explicit UnsignedDecoder(const ElementParams& p) : mask((1 << p.bits) - 1) {}
  HWY_INLINE V operator()(VI code) const { return hn::ConvertTo(D(), hn::And(code, hn::Set(DI(), mask))); }
};

/// At most 16 values, by code; others are NaN.
struct TableDecoder {
  float table[16];
  std::int32_t mask;
  explicit TableDecoder(const ElementParams& p) : mask((1 << p.bits) - 1) { std::copy_n(p.by_code, 16, table); }
  HWY_INLINE V operator()(VI code) const { return lookup16(table, hn::And(code, hn::Set(DI(), mask))); }
};

/// Scale and offset of one group as the values need them.
struct GroupConstants {
  float scale, offset;
};

template <Scaler kScaler, class Decoder>
HWY_INLINE V scaled(const Decoder decoder, VI code, V scale, V offset, float second) {
  const V v = decoder(code);
  // a minimum: two roundings; elsewhere the product of element and scale is exact before the second level rounds
  if constexpr (kScaler == Scaler::minimum) return canonical(hn::Add(hn::Mul(v, scale), offset));
  if constexpr (kScaler == Scaler::asymmetric) {
    return canonical(hn::Add(hn::Mul(hn::Sub(v, offset), scale), hn::Zero(D())));
  }
  const V block = hn::Mul(v, scale);
  const V product = kScaler == Scaler::two_level ? hn::Mul(block, hn::Set(D(), second)) : block;
  // integers have no -0, whatever the scale's sign and wherever the product underflows
  constexpr bool kNoMinusZero = std::is_same_v<Decoder, IntegerDecoder> || kScaler == Scaler::ternary;
  return canonical(kNoMinusZero ? hn::Add(product, hn::Zero(D())) : product);
}

template <Scaler kScaler, class Decoder>
HWY_INLINE void decode_group(const Decoder decoder, const BlockPlan& plan, GroupConstants g, const std::uint8_t* codes,
                             std::size_t n, float* y) {
  const D d;
  const DI di;
  const hn::Rebind<std::uint8_t, D> d8;
  const std::size_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  const V scale = hn::Set(d, g.scale), offset = hn::Set(d, g.offset);
  for (std::size_t i = 0; i < whole; i += lanes) {
    const VI code = hn::PromoteTo(di, hn::LoadU(d8, codes + i));
    const V v = scaled<kScaler>(decoder, code, scale, offset, plan.second);
    if (plan.stream)
      hn::Stream(v, d, y + i);
    else
      hn::StoreU(v, d, y + i);
  }
  if (whole == n) return;
  HWY_ALIGN std::uint8_t last[HWY_MAX_BYTES] = {};
  HWY_ALIGN float out[HWY_MAX_BYTES / 4];
  std::copy_n(codes + whole, n - whole, last);
  hn::StoreU(scaled<kScaler>(decoder, hn::PromoteTo(di, hn::LoadU(d8, last)), scale, offset, plan.second), d, out);
  std::copy_n(out, n - whole, y + whole);
}

HWY_INLINE GroupConstants constants_of(const BlockPlan& plan, const SplitParts& in, std::size_t g) {
  const std::uint32_t scale = get_code(in.scales + g * static_cast<std::size_t>(in.scale_bytes), in.scale_bytes);
  const std::uint32_t zero =
      in.zeros == nullptr ? 0 : get_code(in.zeros + g * static_cast<std::size_t>(in.zero_bytes), in.zero_bytes);
  return {scale_value(plan, scale), offset_value(plan, zero)};
}

constexpr std::size_t kPart = 4096;  ///< codes that are unpacked at once

/// `groups` whole groups, or (groups == 1) any part of one whose codes begin on a whole byte; n values in all.
template <Scaler kScaler, class Decoder>
HWY_INLINE void decode_part(const Decoder decoder, const BlockPlan& plan, const SplitParts& in, std::size_t groups,
                            std::size_t n, std::uint8_t* HWY_RESTRICT buffer, float* y) {
  const std::uint8_t* codes = in.codes;
  if (in.bits != 8) {
    unpack_bits(in.bits, in.codes, n, buffer);
    codes = buffer;
  }
  const std::size_t size = n / groups;
  for (std::size_t g = 0; g < groups; ++g)
    decode_group<kScaler>(decoder, plan, constants_of(plan, in, g), codes + g * size, size, y + g * size);
}

template <Scaler kScaler, class Decoder>
void decode_all(const BlockPlan& plan, SplitParts in, std::size_t groups, std::size_t size, float* y) {
  HWY_ALIGN std::uint8_t buffer[kPart];
  const Decoder decoder(plan.element);
  if (size <= kPart) {
    const std::size_t fit = kPart / size;
    for (std::size_t g = 0; g < groups; g += fit) {
      const std::size_t some = std::min(fit, groups - g);
      decode_part<kScaler>(decoder, plan, in.from(g, g * size), some, some * size, buffer, y + g * size);
    }
    return;
  }
  for (std::size_t g = 0; g < groups; ++g)
    for (std::size_t at = 0; at < size; at += kPart) {
      const std::size_t n = std::min(kPart, size - at);
      decode_part<kScaler>(decoder, plan, in.from(g, g * size + at), 1, n, buffer, y + g * size + at);
    }
}

/// Groups side by side, one a lane.
template <Scaler kScaler, class Decoder>
void decode_side_by_side(const BlockPlan& plan, const ColumnGroups& g, const SplitParts& in, float* y) {
  const D d;
  const DI di;
  const hn::Rebind<std::uint8_t, D> d8;
  const std::size_t lanes = hn::Lanes(d);
  const Decoder decoder(plan.element);
  HWY_ALIGN float scale[kPanelColumns + HWY_MAX_BYTES / 4] = {}, offset[kPanelColumns + HWY_MAX_BYTES / 4] = {};
  for (std::size_t k = 0; k < g.columns; ++k) {
    const GroupConstants c = constants_of(plan, in, k);
    scale[k] = c.scale, offset[k] = c.offset;
  }
  for (std::size_t i = 0; i < g.rows; ++i) {
    const std::uint8_t* codes = in.codes + i * g.stride;
    for (std::size_t k = 0; k < g.columns; k += lanes) {
      const std::size_t n = std::min(lanes, g.columns - k);
      HWY_ALIGN std::uint8_t last[HWY_MAX_BYTES] = {};
      HWY_ALIGN float out[HWY_MAX_BYTES / 4];
      if (n < lanes) std::copy_n(codes + k, n, last);
      const VI code = hn::PromoteTo(di, hn::LoadU(d8, n < lanes ? last : codes + k));
      const V v = scaled<kScaler>(decoder, code, hn::Load(d, scale + k), hn::Load(d, offset + k), plan.second);
      hn::StoreU(v, d, n < lanes ? out : y + i * g.stride + k);
      if (n < lanes) std::copy_n(out, n, y + i * g.stride + k);
    }
  }
}

template <Scaler kScaler>
HWY_INLINE void decode_any(const BlockPlan& plan, const SplitParts& in, std::size_t groups, std::size_t size,
                           float* y) {
  switch (plan.element.grid) {
    case Grid::floating:
      if (plan.element.bits <= 4) return decode_all<kScaler, TableDecoder>(plan, in, groups, size, y);
      return decode_all<kScaler, FloatDecoder>(plan, in, groups, size, y);
    case Grid::integer:
      return decode_all<kScaler, IntegerDecoder>(plan, in, groups, size, y);
    default:
      return decode_all<kScaler, TableDecoder>(plan, in, groups, size, y);
  }
}

void DecodeGroups(const BlockPlan& plan, const SplitParts& in, std::size_t groups, std::size_t size, float* y) {
  switch (plan.scaler) {
    case Scaler::asymmetric:
      return decode_all<Scaler::asymmetric, UnsignedDecoder>(plan, in, groups, size, y);
    case Scaler::minimum:
      return decode_all<Scaler::minimum, UnsignedDecoder>(plan, in, groups, size, y);
    case Scaler::two_level:
      return decode_any<Scaler::two_level>(plan, in, groups, size, y);
    case Scaler::ternary:
      return decode_all<Scaler::ternary, TableDecoder>(plan, in, groups, size, y);
    default:
      return decode_any<Scaler::quotient>(plan, in, groups, size, y);
  }
}

template <Scaler kScaler>
HWY_INLINE void decode_any_columns(const BlockPlan& plan, const ColumnGroups& g, const SplitParts& in, float* y) {
  switch (plan.element.grid) {
    case Grid::floating:
      return decode_side_by_side<kScaler, FloatDecoder>(plan, g, in, y);
    case Grid::integer:
      return decode_side_by_side<kScaler, IntegerDecoder>(plan, g, in, y);
    default:
      return decode_side_by_side<kScaler, TableDecoder>(plan, g, in, y);
  }
}

void DecodeColumns(const BlockPlan& plan, const ColumnGroups& g, const SplitParts& in, float* y) {
  switch (plan.scaler) {
    case Scaler::asymmetric:
      return decode_side_by_side<Scaler::asymmetric, UnsignedDecoder>(plan, g, in, y);
    case Scaler::minimum:
      return decode_side_by_side<Scaler::minimum, UnsignedDecoder>(plan, g, in, y);
    case Scaler::two_level:
      return decode_any_columns<Scaler::two_level>(plan, g, in, y);
    case Scaler::ternary:
      return decode_side_by_side<Scaler::ternary, TableDecoder>(plan, g, in, y);
    default:
      return decode_any_columns<Scaler::quotient>(plan, g, in, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {
HWY_EXPORT(DecodeGroups);
HWY_EXPORT(DecodeColumns);
void decode_columns(const BlockPlan& plan, const ColumnGroups& g, SplitParts in, float* y) {
  HWY_DYNAMIC_DISPATCH(DecodeColumns)(plan, g, in, y);
}
void decode_groups(const BlockPlan& plan, SplitParts in, std::size_t groups, std::size_t size, float* y) {
  HWY_DYNAMIC_DISPATCH(DecodeGroups)(plan, in, groups, size, y);
}
}  // namespace lowbit::kernels
#endif
