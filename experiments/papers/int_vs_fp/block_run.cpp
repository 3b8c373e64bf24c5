#include "experiments/papers/int_vs_fp/block_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "formats/block.hpp"
#include "formats/primitives.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr std::size_t kReplicates = 400;

std::vector<float> draw_batch(const BlockRun& run, std::size_t batch, const Rng& rng) {
  Rng stream = rng.split(fmt::format("batch {}", batch));
  const std::size_t rows = run.blocks / run.batches;
  std::vector<float> x(rows * run.group);
  run.source.fill(stream, rows, run.group, x.data());
  spread_octave(stream, rows, run.group, x.data());
  return x;
}

float run_amax(const BlockRun& run, const Rng& rng) {
  float amax = 0;
  for (std::size_t batch = 0; batch < run.batches; ++batch) {
    const auto x = draw_batch(run, batch, rng);
    amax = std::max(amax, finite_amax(x.data(), x.size()));
  }
  return amax;
}

ErrorBins bin_batch(const BlockRun& run, const std::vector<float>& x, const std::vector<float>& integer,
                    const std::vector<float>& floating) {
  ErrorBins bins(kCrestBins, run.bin_width);
  for (std::size_t i = 0; i < x.size(); i += run.group) {
    const BlockSums sums = block_sums(&x[i], &integer[i], run.group);
    if (sums.sum2 == 0) continue;
    const double other = error_sums(&x[i], &floating[i], run.group).error2;
    const double kappa = sums.amax / std::sqrt(sums.sum2 / static_cast<double>(run.group));
    bins.add(kappa, sums.error2 / sums.sum2, other / sums.sum2);
  }
  return bins;
}

}  // namespace

std::vector<ErrorBins> run_blocks(const BlockRun& run, const std::string& integer, const std::string& floating,
                                  const Rng& rng) {
  const Format first = parse_format(integer), second = parse_format(floating);
  QuantizeContext context;
  if (first.second_level != SecondLevel::none) context.tensor_amax = run_amax(run, rng);
  std::vector<ErrorBins> batches;
  for (std::size_t batch = 0; batch < run.batches; ++batch) {
    const auto x = draw_batch(run, batch, rng);
    std::vector<float> a(x.size()), b(x.size());
    const Layout layout = Layout::matrix(x.size() / run.group, run.group);
    fake_quantize(first, layout, x.data(), a.data(), context);
    fake_quantize(second, layout, x.data(), b.data(), context);
    batches.push_back(bin_batch(run, x, a, b));
  }
  return batches;
}

BlockSummary summarise(const std::vector<ErrorBins>& batches, double least, const Rng& rng) {
  const auto add_up = [&](std::span<const std::size_t> picks) {
    ErrorBins sum(batches[0].blocks.size(), batches[0].width);
    for (const std::size_t i : picks) sum.add(batches[i]);
    return sum;
  };
  std::vector<std::size_t> all(batches.size());
  std::iota(all.begin(), all.end(), 0);
  BlockSummary summary{add_up(all), 0, {}, 0, 0, {}};
  const auto points = binned_differences(summary.bins, least);
  summary.crossover = falling_crossover(points);
  summary.sign_changes = sign_changes(points);
  summary.win_rate = summary.bins.wins / summary.bins.total;
  const auto crossover = [&](std::span<const std::size_t> picks) {
    return falling_crossover(binned_differences(add_up(picks), least));
  };
  const auto win_rate = [&](std::span<const std::size_t> picks) {
    const ErrorBins sum = add_up(picks);
    return sum.wins / sum.total;
  };
  summary.crossover_interval = bootstrap(batches.size(), crossover, rng.split("crossover"), kReplicates);
  summary.win_interval = bootstrap(batches.size(), win_rate, rng.split("win rate"), kReplicates);
  return summary;
}

}  // namespace lowbit::int_vs_fp
