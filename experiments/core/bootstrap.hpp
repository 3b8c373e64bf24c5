// 95 % intervals by the percentile bootstrap (Efron 1979): resample with replacement, take quantiles of the statistic.
#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "experiments/core/report.hpp"
#include "sim/rng.hpp"

namespace lowbit {

/// A statistic of a resample, given as the indices drawn from 0 .. n-1.
using Statistic = std::function<double(std::span<const std::size_t>)>;

/// Of all values; NaN if there is none.
double mean(std::span<const double> values);
/// Of the values at `picks`; NaN if there is none.
double mean(std::span<const double> values, std::span<const std::size_t> picks);
/// 0 .. n-1: the sample itself, as a resample.
std::vector<std::size_t> all_of(std::size_t n);

/// Interval between the (1 - level) / 2 and (1 + level) / 2 quantiles (linear interpolation) of `replicates` resamples
/// of n items. Resamples whose statistic is not finite are left out; NaN bounds if fewer than half are left or n is 0.
/// With n = 1 the interval is that one value: too narrow, say so in the row's note.
Interval bootstrap(std::size_t n, const Statistic& statistic, Rng rng, std::size_t replicates = 1000,
                   double level = 0.95);
/// Of the mean of `values`.
Interval bootstrap_mean(std::span<const double> values, Rng rng, std::size_t replicates = 1000, double level = 0.95);
/// Of sum(numerators) / sum(denominators), items resampled in pairs: QSNR and other ratios of sums.
Interval bootstrap_ratio(std::span<const double> numerators, std::span<const double> denominators, Rng rng,
                         std::size_t replicates = 1000, double level = 0.95);
/// Wilson interval of a proportion, 95 %: successes of trials. {NaN, NaN} for no trial.
Interval wilson(double successes, double trials);
/// Quantile q in [0, 1] of values, linear between the order statistics; NaN if empty.
double quantile(std::vector<double> values, double q);

}  // namespace lowbit
