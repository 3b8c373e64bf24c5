// Methods B and C: curves from drawn blocks and tensors.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/block_run.hpp"
#include "experiments/papers/int_vs_fp/measured_case.hpp"
#include "experiments/papers/int_vs_fp/tensor_run.hpp"
#include "sim/metric/crest_factor.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr double kLeastBlocks = 200;  // bins with fewer blocks are dropped

/// What the tensors of one member of a family gave: one value per tensor.
struct Member {
  std::vector<double> kappa, integer, floating;
};

std::vector<DifferencePoint> member_points(const std::vector<Member>& members, std::span<const std::size_t> picks) {
  std::vector<DifferencePoint> points;
  for (const auto& member : members) {
    points.push_back({mean(member.kappa, picks), mean(member.integer, picks) - mean(member.floating, picks)});
  }
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.kappa < b.kappa; });
  return points;
}

Member run_member(const std::string& source, const Pair& pair, const MeasuredSizes& sizes, const Rng& rng) {
  const TensorShape shape{sizes.rows, sizes.columns};
  const Format integer = parse_format(paper_format(pair.integer)), floating = parse_format(paper_format(pair.floating));
  Member member;
  for (std::size_t tensor = 0; tensor < sizes.tensors; ++tensor) {
    Rng stream = rng.split(fmt::format("{} {}", source, tensor));
    const auto x = draw_tensor(Source::parse(source), shape, stream);
    member.kappa.push_back(crest_factors(shape.layout(), x.data(), static_cast<long>(pair.group)).mean);
    member.integer.push_back(tensor_qsnr(integer, shape.layout(), x));
    member.floating.push_back(tensor_qsnr(floating, shape.layout(), x));
  }
  return member;
}

/// QSNR interval of a ratio of sums over batches.
Interval qsnr_interval(const std::vector<double>& errors, const std::vector<double>& blocks, const Rng& rng) {
  const Interval ratio = bootstrap_ratio(errors, blocks, rng, 400);
  return {-decibel(ratio.high), -decibel(ratio.low)};
}

/// Intervals of every bin whose QSNR is not NaN.
void add_intervals(const std::vector<ErrorBins>& batches, const Rng& rng, MeasuredCurves& curves) {
  for (std::size_t i = 0; i < curves.kappa.size(); ++i) {
    std::vector<double> integer, floating, blocks;
    for (const auto& batch : batches) {
      integer.push_back(batch.integer[i]);
      floating.push_back(batch.floating[i]);
      blocks.push_back(batch.blocks[i]);
    }
    const bool empty = std::isnan(curves.integer[i]);
    const Rng stream = rng.split(fmt::format("bin {}", i));
    curves.integer_interval.push_back(empty ? Interval{NAN, NAN} : qsnr_interval(integer, blocks, stream));
    curves.floating_interval.push_back(empty ? Interval{NAN, NAN} : qsnr_interval(floating, blocks, stream));
  }
}

}  // namespace

MeasuredCurves block_curves(const MeasuredCase& measured, const Pair& pair, const MeasuredSizes& sizes,
                            const Rng& rng) {
  BlockRun run{Source::parse(measured.variant), measured.group == 0 ? pair.group : measured.group, sizes.blocks};
  if (measured.group >= 128) run.bin_width = 0.2;  // narrower bins give several changes of sign
  const auto batches =
      run_blocks(run, paper_format(pair.integer, run.group), paper_format(pair.floating, run.group), rng);
  const auto summary = summarise(batches, kLeastBlocks, rng);
  MeasuredCurves curves;
  for (std::size_t i = 0; i < kCrestBins; ++i) {
    const double blocks = summary.bins.blocks[i];
    const auto qsnr = [&](double sum) { return blocks < kLeastBlocks ? std::nan("") : -decibel(sum / blocks); };
    curves.kappa.push_back(summary.bins.centre(i));
    curves.integer.push_back(qsnr(summary.bins.integer[i]));
    curves.floating.push_back(qsnr(summary.bins.floating[i]));
    curves.blocks.push_back(blocks);
  }
  add_intervals(batches, rng, curves);
  curves.crossover = summary.crossover;
  curves.crossover_qsnr = std::nan("");
  if (!std::isnan(summary.crossover)) {
    curves.crossover_qsnr = curves.floating[static_cast<std::size_t>(summary.crossover / run.bin_width)];
  }
  curves.interval = summary.crossover_interval;
  curves.sign_changes = summary.sign_changes;
  curves.win = summary.win_rate;
  curves.win_interval = summary.win_interval;
  return curves;
}

MeasuredCurves tensor_curves(const MeasuredCase& measured, const Pair& pair, const MeasuredSizes& sizes,
                             const Rng& rng) {
  std::vector<Member> members;
  MeasuredCurves curves;
  for (const auto& source : family_members(measured.variant)) {
    members.push_back(run_member(source, pair, sizes, rng));
    curves.kappa.push_back(mean(members.back().kappa));
    curves.integer.push_back(mean(members.back().integer));
    curves.floating.push_back(mean(members.back().floating));
    const Rng stream = rng.split(source);
    curves.integer_interval.push_back(bootstrap_mean(members.back().integer, stream));
    curves.floating_interval.push_back(bootstrap_mean(members.back().floating, stream));
  }
  const auto points = member_points(members, all_of(sizes.tensors));
  curves.crossover = falling_crossover(points);
  curves.crossover_qsnr = std::nan("");
  curves.sign_changes = sign_changes(points);
  curves.interval = bootstrap(
      sizes.tensors,
      [&](std::span<const std::size_t> picks) { return falling_crossover(member_points(members, picks)); },
      rng.split("crossover"), 400);
  return curves;
}

}  // namespace lowbit::int_vs_fp
