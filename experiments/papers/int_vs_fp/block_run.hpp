// Method B: relative errors of single blocks, binned by their measured crest factor.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/crossover.hpp"
#include "sim/source/source.hpp"

namespace lowbit::int_vs_fp {

/// What is drawn: `blocks` blocks of `group` values in `batches` equal batches, each block times its own 2^u.
struct BlockRun {
  Source source;
  std::size_t group = 32;
  std::size_t blocks = 400000;
  std::size_t batches = 40;
  double bin_width = 0.05;
};
/// Bins of a run: up to kappa = 8.2 at width 0.05 (sqrt(64) = 8); the last one also holds what is beyond.
inline constexpr std::size_t kCrestBins = 164;

/// Bins of every batch for the two formats. Batch b draws from rng.split("batch b") whatever the formats are, so that
/// pairs see the same blocks; a second-level scale is made from the maximum over all batches. All-zero blocks are left
/// out.
std::vector<ErrorBins> run_blocks(const BlockRun& run, const std::string& integer, const std::string& floating,
                                  const Rng& rng);

/// A run summed up, its crossover with a 95 % bootstrap interval over batches, and the share of blocks that the integer
/// wins.
struct BlockSummary {
  ErrorBins bins;
  double crossover;
  Interval crossover_interval;
  int sign_changes;
  double win_rate;
  Interval win_interval;
};
/// Bins of fewer than `least` blocks are dropped from the curve. 400 resamples.
BlockSummary summarise(const std::vector<ErrorBins>& batches, double least, const Rng& rng);

}  // namespace lowbit::int_vs_fp
