// fake_quantize over tensors: which kernel does which groups, in which pieces.
#include <atomic>
#include <cmath>
#include <vector>

#include "formats/kernels/columns_walk.hpp"
#include "formats/kernels/fake_quantize.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/pieces.hpp"
#include "formats/kernels/plain_cast.hpp"
#include "formats/kernels/ternary.hpp"

namespace lowbit::kernels {

namespace {

void quantize_group(const BlockPlan& plan, const float* x, float* y, std::size_t n, std::uint64_t index) {
  if (!quantize_measured(plan, measure_group(plan, x, n), x, y, n, index)) reference_group(plan, x, y, n, index);
}

void quantize_run(const BlockPlan& plan, const GroupRun& run, const float* x, float* y, std::uint64_t first_index) {
  if (run.blocks > 0 && plan.scaler == Scaler::ternary && plan.group % 16 == 0 && plan.group <= kMaxBlock)
    return quantize_ternary(plan, x + run.index, y + run.index, run.blocks, first_index + run.index);
  if (run.blocks > 0 && plan.scaler != Scaler::ternary && plan.group % lane_count() == 0 && plan.group <= kMaxBlock)
    return quantize_blocks(plan, x + run.index, y + run.index, run.blocks, first_index + run.index);
  const std::size_t group = run.blocks == 0 ? run.size : plan.group;
  for (std::size_t at = run.index; at < run.index + run.size; at += group)
    quantize_group(plan, x + at, y + at, group, first_index + at);
}

/// A single group, longer than a piece: measured in pieces, then quantised in pieces.
void quantize_whole(const BlockPlan& plan, const float* x, float* y, std::size_t n, const QuantizeContext& context) {
  std::vector<Measured> parts(n / kPieceValues + 1);
  in_pieces(context.workers, n, kPieceValues, [&](std::size_t first, std::size_t last) {
    parts[first / kPieceValues] = measure_group(plan, x + first, last - first);
  });
  Measured all = parts[0];
  for (std::size_t p = 1; p < (n + kPieceValues - 1) / kPieceValues; ++p) all = merged(plan, all, parts[p]);
  std::atomic<bool> done{true};
  in_pieces(context.workers, n, kPieceValues, [&](std::size_t first, std::size_t last) {
    if (!quantize_measured(plan, all, x + first, y + first, last - first, context.first_index + first)) done = false;
  });
  if (!done) reference_group(plan, x, y, n, context.first_index);
}

}  // namespace

GroupRows::GroupRows(const Format& format, const Layout& layout) {
  const std::size_t n = layout.size();
  if (n == 0) return;
  if (format.group == GroupKind::tensor) {
    rows = 1;
    length = group = n;
    return;
  }
  if (layout.inner() != 1) return;
  if (format.group != GroupKind::channel && format.group != GroupKind::size) return;
  length = layout.length();
  group = format.group == GroupKind::size ? format.group_size : length;
  rows = n / length;
  if (length % group == 0) length = n, rows = 1;
}

float finite_amax(Workers* workers, const float* x, std::size_t n) {
  std::vector<float> parts(n / kPieceValues + 1, 0.0f);
  in_pieces(workers, n, kPieceValues, [&](std::size_t first, std::size_t last) {
    parts[first / kPieceValues] = finite_maximum(x + first, last - first);
  });
  return *std::max_element(parts.begin(), parts.end());
}

bool plan_for(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context,
              BlockPlan& plan, std::optional<float>& tensor_scale) {
  tensor_scale.reset();
  if (format.second_level != SecondLevel::none) {
    const float amax = context.tensor_amax ? *context.tensor_amax : finite_amax(context.workers, x, layout.size());
    if (!(amax >= 0 && std::isfinite(amax))) return false;  // the reference has the error
    tensor_scale = second_level_scale(format, amax);
  }
  return make_plan(format, tensor_scale, context.stream, plan);
}

namespace {

bool fake_cast(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  CastPlan plan;
  if (!make_cast(format, context.stream, plan)) return false;
  const bool stream = x != y && layout.size() * sizeof(float) >= kStreamBytes && aligned(y);
  in_pieces(context.workers, layout.size(), kPieceValues, [&](std::size_t first, std::size_t last) {
    cast_values(plan, x + first, y + first, last - first, context.first_index + first, stream);
  });
  return true;
}

}  // namespace

bool fake_quantize(const Format& format, const Layout& layout, const float* x, float* y,
                   const QuantizeContext& context) {
  if (target() == "ref" || !format.like.empty()) return false;
  if (!format.is_block()) return fake_cast(format, layout, x, y, context);
  const GroupRows groups(format, layout);
  const ColumnGrid columns(format, layout);
  if (groups.rows == 0 && columns.outer == 0) return false;
  BlockPlan plan;
  plan.group = groups.group;
  const DefaultRounding state;
  std::optional<float> tensor_scale;
  if (!plan_for(format, layout, x, context, plan, tensor_scale)) return false;
  if (groups.rows == 0) {
    if (plan.scaler == Scaler::ternary) return false;
    plan.stream = x != y && layout.size() * sizeof(float) >= kStreamBytes && aligned(y) && columns.inner % 16 == 0;
    quantize_column_tensor(plan, columns, x, y, context);
    return true;
  }
  plan.stream = x != y && layout.size() * sizeof(float) >= kStreamBytes && aligned(y) && plan.group % 16 == 0 &&
                (groups.rows == 1 || groups.length % 16 == 0);
  if (groups.group_count() == 1 && groups.group > kPieceValues) {
    quantize_whole(plan, x, y, groups.group, context);
    return true;
  }
  in_pieces(context.workers, groups.group_count(), piece_groups(groups), [&](std::size_t first, std::size_t last) {
    for_each_run(groups, first, last, [&](const GroupRun& run) { quantize_run(plan, run, x, y, context.first_index); });
  });
  return true;
}

}  // namespace lowbit::kernels
