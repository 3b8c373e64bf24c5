#include "sim/early_exit/rank_change.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "formats/error.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::early_exit {

namespace {

constexpr double kBinWidth = 0.5;

struct Change {
  double x, by;
  std::size_t text;
  double score = 0;
};

double log10_of(double v) {
  return portable_log(v) / portable_log(10.0);
}

/// z with Phi(z) = p, by bisection: p is one of a few hundred ranks.
double normal_score(double p) {
  double low = -6, high = 6;
  for (int i = 0; i < 60; ++i) {
    const double z = 0.5 * (low + high);
    (0.5 * (1 + portable_erf(z / std::sqrt(2.0))) < p ? low : high) = z;
  }
  return 0.5 * (low + high);
}

std::vector<Change> changes_of(std::span<const RankPair> pairs) {
  std::vector<Change> all;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const RankPair& p = pairs[i];
    if (p.before.size() != p.after.size())
      throw_error(ExitCode::bad_data, "a text has {} sentences without the change and {} with it", p.before.size(),
                  p.after.size());
    for (std::size_t k = 0; k < p.before.size(); ++k) {
      const double x = log10_of(p.before[k]);
      all.push_back({x, log10_of(p.after[k]) - x, i});
    }
  }
  return all;
}

double quantile_of(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(place), sorted.size() - 1);
  const std::size_t next = std::min(i + 1, sorted.size() - 1);
  return sorted[i] + (place - static_cast<double>(i)) * (sorted[next] - sorted[i]);
}

/// Edges of the bins, in half decades of R.
std::vector<double> edges_of(const std::vector<Change>& all, std::size_t least) {
  double top = 0;
  for (const Change& c : all) top = std::max(top, c.x);
  std::vector<double> edges{0};
  std::size_t count = 0;
  const auto steps = static_cast<std::size_t>(std::floor(top / kBinWidth)) + 1;
  for (std::size_t step = 1; step <= steps; ++step) {
    const double to = kBinWidth * static_cast<double>(step);
    count += static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Change& c) { return c.x >= to - kBinWidth && c.x < to; }));
    if (count < least) continue;
    edges.push_back(to);
    count = 0;
  }
  edges.back() = kBinWidth * static_cast<double>(steps);  // what is left belongs to the last full bin
  return edges;
}

RankChangeBin bin_of(std::vector<Change>& all, double from, double to) {
  std::vector<double> sorted;
  for (const Change& c : all)
    if (c.x >= from && c.x < to) sorted.push_back(c.by);
  std::sort(sorted.begin(), sorted.end());
  RankChangeBin bin{from, to, sorted.size(), {}};
  for (std::size_t q = 0; q < kChangeQuantiles; ++q)
    bin.quantiles.push_back(quantile_of(sorted, static_cast<double>(q) / (kChangeQuantiles - 1)));
  const double n = static_cast<double>(sorted.size());
  for (Change& c : all) {
    if (!(c.x >= from && c.x < to)) continue;
    const auto [low, high] = std::equal_range(sorted.begin(), sorted.end(), c.by);
    c.score = normal_score((0.5 * static_cast<double>((low - sorted.begin()) + (high - sorted.begin()))) / n);
  }
  return bin;
}

double lag1_of(const std::vector<Change>& all) {
  double products = 0, squares = 0, pairs = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    squares += all[i].score * all[i].score;
    if (i == 0 || all[i].text != all[i - 1].text) continue;
    products += all[i].score * all[i - 1].score;
    ++pairs;
  }
  const double variance = squares / static_cast<double>(all.size());
  return pairs > 0 && variance > 1e-9 ? std::clamp(products / pairs / variance, -0.99, 0.99) : 0;
}

}  // namespace

RankChange measure_change(const std::string& name, std::span<const RankPair> pairs, std::size_t least) {
  std::vector<Change> all = changes_of(pairs);
  if (all.size() < std::max<std::size_t>(1, least))
    throw_error(ExitCode::bad_data, "'{}': {} sentences; at least {} are needed", name, all.size(), least);
  RankChange change;
  change.name = name;
  const std::vector<double> edges = edges_of(all, least);
  for (std::size_t i = 0; i + 1 < edges.size(); ++i) change.bins.push_back(bin_of(all, edges[i], edges[i + 1]));
  const double n = static_cast<double>(all.size());
  double sum = 0, squares = 0;
  for (const Change& c : all) sum += c.by;
  change.mean = sum / n;
  for (const Change& c : all) squares += (c.by - change.mean) * (c.by - change.mean);
  change.sd = std::sqrt(squares / n);
  change.lag1 = lag1_of(all);
  return change;
}

double change_at(const RankChange& change, double x, double u) {
  std::size_t i = 0;
  while (i + 1 < change.bins.size() && x >= change.bins[i].to) ++i;
  const std::vector<double>& q = change.bins[i].quantiles;
  return quantile_of(q, u);
}

}  // namespace lowbit::early_exit
