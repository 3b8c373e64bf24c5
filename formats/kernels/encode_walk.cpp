// encode, decode and their packed forms over tensors: which kernel does which groups, in which pieces.
#include <cstring>
#include <vector>

#include "formats/block_quantizer.hpp"
#include "formats/code_store.hpp"
#include "formats/group_walk.hpp"
#include "formats/kernels/columns_walk.hpp"
#include "formats/kernels/encode.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/pieces.hpp"
#include "formats/kernels/plain_cast.hpp"
#include "formats/kernels/ternary.hpp"

namespace lowbit::kernels {

namespace {

/// Where the codes of a run begin when rows begin on whole bytes.
std::size_t code_offset(const GroupRows& g, std::size_t index, int bits) {
  const std::size_t row_bytes = (g.length * static_cast<std::size_t>(bits) + 7) / 8;
  return index / g.length * row_bytes + index % g.length * static_cast<std::size_t>(bits) / 8;
}

SplitParts parts_of(const GroupRows& g, const SplitParts& all, std::size_t number, std::size_t index) {
  SplitParts p = all.from(number, 0);
  p.codes = all.codes + code_offset(g, index, all.bits);
  return p;
}

/// Rows of the layout, and whole groups inside them, begin on whole bytes (joined rows count as one long row in g).
bool packs(const GroupRows& g, const Layout& layout, int bits) {
  const auto whole = [bits](std::size_t codes) { return codes * static_cast<std::size_t>(bits) % 8 == 0; };
  const bool rows = g.length == packed_row_length(layout) || whole(packed_row_length(layout));
  return rows && (whole(g.group) || g.groups_per_row() == 1);
}

void encode_run(const BlockPlan& plan, const GroupRows& rows, const GroupRun& run, const float* x,
                const SplitParts& all, std::uint64_t first_index) {
  if (run.blocks > 0 && plan.scaler == Scaler::ternary && plan.group % 16 == 0 && plan.group <= kMaxBlock)
    return encode_ternary(plan, x + run.index, run.blocks, first_index + run.index,
                          parts_of(rows, all, run.number, run.index));
  if (run.blocks > 0 && plan.scaler != Scaler::ternary && plan.group % lane_count() == 0 && plan.group % 8 == 0 &&
      plan.group <= kMaxBlock) {
    const SplitParts out = parts_of(rows, all, run.number, run.index);
    return encode_blocks(plan, x + run.index, run.blocks, first_index + run.index, out);
  }
  const std::size_t group = run.blocks == 0 ? run.size : plan.group;
  for (std::size_t at = run.index, number = run.number; at < run.index + run.size; at += group, ++number)
    encode_group(plan, x + at, group, first_index + at, parts_of(rows, all, number, at));
}

void encode_all(BlockPlan& plan, const GroupRows& g, const float* x, const SplitParts& out,
                const QuantizeContext& context) {
  plan.stream = g.rows * g.length / 8 * static_cast<std::size_t>(out.bits) >= kStreamBytes;
  in_pieces(context.workers, g.group_count(), piece_groups(g), [&](std::size_t first, std::size_t last) {
    for_each_run(g, first, last, [&](const GroupRun& run) { encode_run(plan, g, run, x, out, context.first_index); });
  });
}

void decode_all(BlockPlan& plan, const GroupRows& g, const SplitParts& in, float* y, Workers* workers) {
  plan.stream = g.rows * g.length * sizeof(float) >= kStreamBytes && aligned(y) && plan.group % 16 == 0 &&
                (g.rows == 1 || g.length % 16 == 0);
  in_pieces(workers, g.group_count(), piece_groups(g), [&](std::size_t first, std::size_t last) {
    for_each_run(g, first, last, [&](const GroupRun& run) {
      const std::size_t groups = run.blocks == 0 ? 1 : run.blocks;
      const std::size_t size = run.blocks == 0 ? run.size : plan.group;
      const bool whole_bytes = in.bits == 8 || size * static_cast<std::size_t>(in.bits) % 8 == 0;
      for (std::size_t k = 0; k < (whole_bytes ? 1 : groups); ++k) {
        const std::size_t n = whole_bytes ? groups : 1;
        decode_groups(plan, parts_of(g, in, run.number + k, run.index + k * size), n, size, y + run.index + k * size);
      }
    });
  });
}

/// Zero points that a float holds exactly.
bool small(const std::vector<std::uint32_t>& zero_points) {
  for (const std::uint32_t z : zero_points)
    if (z >= 1u << 20) return false;
  return true;
}

/// Parts of `out`, sized for the groups; zero-filled only where they grow.
SplitParts sized(const Format& format, const Layout& layout, const GroupRows& g, PackedTensor& out) {
  const std::size_t row_bytes = (packed_row_length(layout) * static_cast<std::size_t>(format.element->bits) + 7) / 8;
  out.codes.resize(packed_rows(layout) * row_bytes);
  out.scales.resize(g.group_count() * static_cast<std::size_t>(scale_bytes(format)));
  out.zero_points.resize(g.group_count() * static_cast<std::size_t>(zero_point_bytes(format)));
  return {out.codes.data(),
          format.element->bits,
          out.scales.data(),
          scale_bytes(format),
          out.zero_points.empty() ? nullptr : out.zero_points.data(),
          zero_point_bytes(format)};
}

bool encodes(const Format& format) {
  return target() != "ref" && format.like.empty() && format.is_block() && format.element->bits <= 8;
}

bool encode_cast(const Format& format, const Layout& layout, const float* x, Quantized& out,
                 const QuantizeContext& context) {
  CastPlan plan;
  if (target() == "ref" || !make_cast(format, context.stream, plan)) return false;
  const auto width = static_cast<std::size_t>(plan.code_bytes);
  out.code_bytes = plan.code_bytes;
  out.codes.resize(layout.size() * width);
  in_pieces(context.workers, layout.size(), kPieceValues, [&](std::size_t first, std::size_t last) {
    cast_codes(plan, x + first, out.codes.data() + first * width, last - first, context.first_index + first);
  });
  return true;
}

}  // namespace

bool encode(const Format& format, const Layout& layout, const float* x, Quantized& out,
            const QuantizeContext& context) {
  if (!format.is_block()) return encode_cast(format, layout, x, out, context);
  const GroupRows g(format, layout);
  const ColumnGrid columns(format, layout);
  if (!encodes(format) || (g.rows == 0 && columns.outer == 0)) return false;
  BlockPlan plan;
  plan.group = g.group;
  const DefaultRounding state;
  if (!plan_for(format, layout, x, context, plan, out.tensor_scale)) return false;
  if (g.rows == 0 && plan.scaler == Scaler::ternary) return false;
  out.code_bytes = 1;
  out.codes.resize(layout.size());
  const std::size_t groups = g.rows != 0 ? g.group_count() : columns.group_count();
  out.scales.resize(groups);
  if (format.zero_point != ZeroPoint::none) out.zero_points.resize(groups);
  const SplitParts parts{out.codes.data(),
                         8,
                         reinterpret_cast<std::uint8_t*>(out.scales.data()),
                         4,
                         out.zero_points.empty() ? nullptr : reinterpret_cast<std::uint8_t*>(out.zero_points.data()),
                         4};
  if (g.rows != 0)
    encode_all(plan, g, x, parts, context);
  else
    encode_column_tensor(plan, columns, x, parts, context);
  return true;
}

bool decode(const Quantized& q, float* y, Workers* workers) {
  const GroupRows g(q.format, q.layout);
  const ColumnGrid columns(q.format, q.layout);
  if (!encodes(q.format) || (g.rows == 0 && columns.outer == 0) || !small(q.zero_points)) return false;
  BlockPlan plan;
  plan.group = g.group;
  const DefaultRounding state;
  if (!make_plan(q.format, q.tensor_scale, 0, plan)) return false;
  plan_decoding(q.format, plan);
  // only read from
  const SplitParts parts{const_cast<std::uint8_t*>(q.codes.data()),
                         8,
                         reinterpret_cast<std::uint8_t*>(const_cast<std::uint32_t*>(q.scales.data())),
                         4,
                         q.zero_points.empty()
                             ? nullptr
                             : reinterpret_cast<std::uint8_t*>(const_cast<std::uint32_t*>(q.zero_points.data())),
                         4};
  if (g.rows != 0)
    decode_all(plan, g, parts, y, workers);
  else
    decode_column_tensor(plan, columns, parts, y, workers);
  return true;
}

bool encode_packed(const Format& format, const Layout& layout, const float* x, PackedTensor& out,
                   const QuantizeContext& context) {
  const GroupRows g(format, layout);
  if (!encodes(format) || g.rows == 0) return false;
  if (!packs(g, layout, format.element->bits)) return false;
  BlockPlan plan;
  plan.group = g.group;
  const DefaultRounding state;
  std::optional<float> tensor_scale;
  if (!plan_for(format, layout, x, context, plan, tensor_scale)) return false;
  out.format = format;
  out.layout = layout;
  out.tensor_scale = tensor_scale;
  encode_all(plan, g, x, sized(format, layout, g, out), context);
  return true;
}

bool decode_packed(const PackedTensor& packed, float* y, Workers* workers) {
  const GroupRows g(packed.format, packed.layout);
  if (!encodes(packed.format) || g.rows == 0 || !packs(g, packed.layout, packed.format.element->bits)) return false;
  BlockPlan plan;
  plan.group = g.group;
  const DefaultRounding state;
  if (!make_plan(packed.format, packed.tensor_scale, 0, plan)) return false;
  plan_decoding(packed.format, plan);
  const SplitParts parts{const_cast<std::uint8_t*>(packed.codes.data()),
                         packed.format.element->bits,
                         const_cast<std::uint8_t*>(packed.scales.data()),
                         scale_bytes(packed.format),
                         packed.zero_points.empty() ? nullptr : const_cast<std::uint8_t*>(packed.zero_points.data()),
                         zero_point_bytes(packed.format)};
  decode_all(plan, g, parts, y, workers);
  return true;
}

}  // namespace lowbit::kernels
