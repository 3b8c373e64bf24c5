// Vector kernels for groups down the columns of a row-major matrix, without a transposed copy.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/columns.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <vector>

#include "formats/code_store.hpp"
#include "formats/kernels/codes-inl.h"
#include "formats/kernels/columns.hpp"
#include "formats/kernels/strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// One statistic of each of `columns` groups, a multiple of the lanes.
template <class Op>
HWY_INLINE void measure_columns(const ColumnGroups& g, const float* x, std::int32_t* out) {
  const D d;
  const DI di;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t k = 0; k < g.columns; k += lanes) hn::StoreU(Op::of(hn::LoadU(d, x + k)), di, out + k);
  for (std::size_t i = 1; i < g.rows; ++i) {
    const float* row = x + i * g.stride;
    for (std::size_t k = 0; k < g.columns; k += lanes) {
      hwy::Prefetch(row + k + 2 * g.stride);
      hn::StoreU(Op::merge(hn::LoadU(di, out + k), Op::of(hn::LoadU(d, row + k))), di, out + k);
    }
  }
}

/// Results of the groups that are not ordinary, kept until the panel has been written: the output may be the input.
template <class Sink>
struct Unusual {
  std::vector<std::size_t> column;
  std::vector<float> values;
  std::vector<std::uint8_t> codes;
  std::vector<GroupState> states;

  /// Group k of g; its first value is *x.
  void add(const BlockPlan& plan, const ColumnGroups& g, const float* x, std::size_t x_stride, std::size_t k,
           bool zero) {
    const std::size_t at = column.size() * g.rows;
    column.push_back(k);
    states.emplace_back();
    values.resize(at + g.rows, 0.0f);
    codes.resize(at + g.rows, static_cast<std::uint8_t>(plan.zero_code));
    if (zero) return;
    std::vector<float> in(g.rows);
    for (std::size_t i = 0; i < g.rows; ++i) in[i] = x[i * x_stride];
    if constexpr (Sink::kCodes)
      states.back() = reference_codes(plan, in.data(), g.rows, g.index + k, g.stride, codes.data() + at);
    else
      reference_group(plan, in.data(), values.data() + at, g.rows, g.index + k, g.stride);
  }
  void put(const ColumnGroups& g, Sink sink, std::size_t sink_stride) const {
    for (std::size_t c = 0; c < column.size(); ++c)
      for (std::size_t i = 0; i < g.rows; ++i) {
        const Sink to = sink.at(i * sink_stride + column[c]);
        if constexpr (Sink::kCodes)
          *to.codes = codes[c * g.rows + i];
        else
          *to.y = values[c * g.rows + i];
      }
  }
};

template <bool kRandom, class Quantizer, class Sink>
HWY_INLINE void quantize_rows(const Quantizer q, const BlockPlan& plan, const ColumnGroups& g, const float* x,
                              std::size_t x_stride, Sink sink, std::size_t sink_stride, const Strip& s) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  Words words;
  const WordSource source(plan.seed, plan.stream_number);
  for (std::size_t i = 0; i < g.rows; ++i) {
    if constexpr (kRandom) source.fill(g.index + i * g.stride, g.columns, words, x + (i + 1) * x_stride);
    const float* row = x + i * x_stride;
    for (std::size_t k = 0; k < g.columns; k += lanes) {
      // the panel to the right, which is as a rule the next, into the second cache
      __builtin_prefetch(row + k + kPanelColumns, 0, 2);
      const V c0 = hn::Load(d, s.constants + k), c1 = hn::LoadU(d, s.constants + Strip::kRoom + k);
      const V c2 = Quantizer::kConstants > 2 ? hn::LoadU(d, s.constants + 2 * Strip::kRoom + k) : hn::Zero(d);
      sink.at(i * sink_stride + k)
          .template put<kRandom>(q, hn::LoadU(d, row + k), c0, c1, c2, kRandom ? words.first + k : nullptr);
    }
  }
}

/// g.columns a multiple of the lanes. `x` has the stride x_stride, which is not g.stride for a copied remainder.
template <class Quantizer, class Sink>
HWY_INLINE void panel(const Quantizer q, const BlockPlan& plan, const ColumnGroups& g, const float* x,
                      std::size_t x_stride, Sink sink, std::size_t sink_stride, Strip& s, Unusual<Sink>& unusual) {
  ColumnGroups in_x = g;
  in_x.stride = x_stride;
  if constexpr (Quantizer::kRange) {
    measure_columns<Largest>(in_x, x, s.largest);
    measure_columns<Least>(in_x, x, s.least);
  } else {
    measure_columns<LargestMagnitude>(in_x, x, s.largest);
  }
  if (!prepare(q, g.columns, s)) {
    for (std::size_t k = 0; k < g.columns; ++k) {
      if (s.flags[k] == kOrdinary) continue;
      unusual.add(plan, g, x + k, x_stride, k, s.flags[k] == kZero);
    }
  }
  if (Quantizer::kDraws && plan.rounding == Rounding::sr)
    quantize_rows<Quantizer::kDraws>(q, plan, g, x, x_stride, sink, sink_stride, s);
  else
    quantize_rows<false>(q, plan, g, x, x_stride, sink, sink_stride, s);
  unusual.put(g, sink, sink_stride);
}

HWY_INLINE void put_scales(const Strip& s, StripCodes& c, const std::vector<std::size_t>& column,
                           const std::vector<GroupState>& states, std::size_t count, const SplitParts& out) {
  for (std::size_t u = 0; u < column.size(); ++u) {
    if (s.flags[column[u]] != kUnusual) continue;
    c.scale[column[u]] = states[u].scale_code;
    c.zero[column[u]] = states[u].zero_code;
  }
  put_parts(c, count, out);
}

/// Whole vectors of columns, then the remainder through a copy of its own.
template <class Quantizer, class Sink>
void run_columns(const Quantizer q, const BlockPlan& plan, const ColumnGroups& g, const float* x, Sink sink,
                 const SplitParts& out) {
  const std::size_t lanes = hn::Lanes(D()), whole = g.columns / lanes * lanes;
  Strip s;
  StripCodes c;
  ColumnGroups part = g;
  if (whole > 0) {
    part.columns = whole;
    Unusual<Sink> unusual;
    panel(q, plan, part, x, g.stride, sink, g.stride, s, unusual);
    if constexpr (Sink::kCodes) {
      scale_codes(q, s, whole, c);
      put_scales(s, c, unusual.column, unusual.states, whole, out);
    }
  }
  const std::size_t rest = g.columns - whole;
  if (rest == 0) return;
  std::vector<float> in(g.rows * lanes), values(Sink::kCodes ? 0 : g.rows * lanes);
  std::vector<std::uint8_t> codes(Sink::kCodes ? g.rows * lanes : 0);
  for (std::size_t i = 0; i < g.rows; ++i)
    for (std::size_t k = 0; k < lanes; ++k) in[i * lanes + k] = x[i * g.stride + whole + std::min(k, rest - 1)];
  Sink to = sink;
  if constexpr (Sink::kCodes)
    to.codes = codes.data();
  else
    to.y = values.data();
  part.columns = lanes;
  part.index = g.index + whole;
  Unusual<Sink> unusual;
  panel(q, plan, part, in.data(), lanes, to, lanes, s, unusual);
  for (std::size_t i = 0; i < g.rows; ++i) sink.at(i * g.stride + whole).copy_from(to.at(i * lanes), rest);
  if constexpr (Sink::kCodes) {
    scale_codes(q, s, lanes, c);
    put_scales(s, c, unusual.column, unusual.states, rest, out.from(whole, 0));
  }
}

void QuantizeColumns(const BlockPlan& plan, const ColumnGroups& g, const float* x, float* y) {
  with_quantizer(plan, [&](const auto q) HWY_ATTR {
    if constexpr (!decltype(q)::kAwayFromZero) {
      if (plan.stream && g.columns % hn::Lanes(D()) == 0)
        return run_columns(q, plan, g, x, ValueSink<true>{y}, SplitParts{});
    }
    run_columns(q, plan, g, x, ValueSink<false>{y}, SplitParts{});
  });
}
void EncodeColumns(const BlockPlan& plan, const ColumnGroups& g, const float* x, SplitParts out) {
  with_quantizer(plan, [&](const auto q) HWY_ATTR { run_columns(q, plan, g, x, CodeSink{out.codes}, out); });
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {

HWY_EXPORT(QuantizeColumns);
HWY_EXPORT(EncodeColumns);
void quantize_columns(const BlockPlan& plan, const ColumnGroups& g, const float* x, float* y) {
  HWY_DYNAMIC_DISPATCH(QuantizeColumns)(plan, g, x, y);
}
void encode_columns(const BlockPlan& plan, const ColumnGroups& g, const float* x, SplitParts out) {
  HWY_DYNAMIC_DISPATCH(EncodeColumns)(plan, g, x, out);
}

}  // namespace lowbit::kernels
#endif
