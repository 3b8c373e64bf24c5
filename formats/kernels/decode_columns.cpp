// Vector kernels of decode for groups across the contiguous axis: side by side, one a lane.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/decode_columns.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "formats/kernels/columns.hpp"
#include "formats/kernels/decoder-inl.h"
#include "formats/kernels/encode.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

template <Scaler kScaler, bool kNumbers, class Decoder>
HWY_INLINE void decode_panel(const Decoder decoder, const BlockPlan& plan, const ColumnGroups& g,
                             const std::uint8_t* all, const float* scale, const float* offset, float* y) {
  const D d;
  const hn::Rebind<std::uint8_t, D> d8;
  const std::size_t lanes = hn::Lanes(d);
  const int unused = 32 - plan.element.bits;
  const auto value = [&](const std::uint8_t* codes, std::size_t k) HWY_ATTR {
    const VI left = hn::ShiftLeftSame(hn::PromoteTo(DI(), hn::LoadU(d8, codes)), unused);
    return decoded<kScaler, kNumbers>(decoder, left, hn::Load(d, scale + k), hn::Load(d, offset + k), plan.second);
  };
  for (std::size_t i = 0; i < g.rows; ++i) {
    const std::uint8_t* codes = all + i * g.stride;
    float* row = y + i * g.stride;
    std::size_t k = 0;
    for (; k + lanes <= g.columns; k += lanes) hn::StoreU(value(codes + k, k), d, row + k);
    if (k == g.columns) continue;
    HWY_ALIGN std::uint8_t last[HWY_MAX_BYTES] = {};
    HWY_ALIGN float out[HWY_MAX_BYTES / 4];
    std::copy_n(codes + k, g.columns - k, last);
    hn::StoreU(value(last, k), d, out);
    std::copy_n(out, g.columns - k, row + k);
  }
}

void DecodeColumns(const BlockPlan& plan, const ColumnGroups& g, const SplitParts& in, float* y) {
  if constexpr (kEmulated) return;
  HWY_ALIGN float scale[kPanelColumns + HWY_MAX_BYTES / 4] = {}, offset[kPanelColumns + HWY_MAX_BYTES / 4] = {};
  group_constants(plan, in, g.columns, scale, offset);
  const bool finite = are_finite(scale, g.columns) && are_finite(offset, g.columns);
  with_decoding(plan, [&]<Scaler kScaler, class Decoder>() HWY_ATTR {
    const Decoder decoder(plan.element);
    if (finite && decoder.numbers_only())
      decode_panel<kScaler, true>(decoder, plan, g, in.codes, scale, offset, y);
    else
      decode_panel<kScaler, false>(decoder, plan, g, in.codes, scale, offset, y);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {
HWY_EXPORT(DecodeColumns);
void decode_columns(const BlockPlan& plan, const ColumnGroups& g, SplitParts in, float* y) {
  HWY_DYNAMIC_DISPATCH(DecodeColumns)(plan, g, in, y);
}
}  // namespace lowbit::kernels
#endif
