#include "experiments/papers/int_vs_fp/pool.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// "model.layers.3.mlp.up_proj.x^T" -> "model.layers.3.mlp.up_proj"
std::string layer_of(const std::string& operand) {
  return operand.substr(0, operand.rfind('.'));
}

/// Linear between order statistics; reorders `values`.
double fast_quantile(std::vector<double>& values, double q) {
  if (values.empty()) return kNan;
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<std::size_t>(below)], fraction = at - static_cast<double>(below);
  if (fraction == 0) return low;
  return low + fraction * (*std::min_element(values.begin() + below + 1, values.end()) - low);
}

}  // namespace

bool belongs(Role role, Operands operands) {
  return operands == Operands::six || is_weight(role) == (operands == Operands::weights);
}

Pool::Pool(const Results& results) : results_(results) {
  std::map<std::string, std::size_t> known;
  for (const Value& value : results.coordinates("tensor")) {
    names_.push_back(value.text());
    cluster_.push_back(known.emplace(layer_of(names_.back()), known.size()).first->second);
  }
  clusters_ = known.size();
  sequences_ = results.coordinates("sequence").size();
  Coordinates where{{"sequence", std::int64_t{0}}};
  if (results.coordinates("transform").size() > 1) where.emplace_back("transform", results.coordinates("transform")[0]);
  for (const double role : results.along("role", "tensor", where)) roles_.push_back(static_cast<Role>(role));
}

Clusters Pool::values(std::string_view output, const Coordinates& where, Operands operands, const Filter& keep) const {
  Clusters clusters(clusters_);
  for (std::size_t s = 0; s < sequences_; ++s) {
    Coordinates at = where;
    at.emplace_back("sequence", static_cast<std::int64_t>(s));
    const auto column = results_.along(output, "tensor", at);
    for (std::size_t i = 0; i < column.size(); ++i) {
      if (!belongs(roles_[i], operands) || (keep && !keep(names_[i], roles_[i])) || std::isnan(column[i])) continue;
      auto& own = clusters[cluster_[i]];
      own.insert(own.end(), is_weight(roles_[i]) ? sequences_ : 1, column[i]);
    }
  }
  std::erase_if(clusters, [](const auto& own) { return own.empty(); });
  return clusters;
}

std::size_t Pool::count(Role role) const {
  return static_cast<std::size_t>(std::count(roles_.begin(), roles_.end(), role));
}

bool Pool::complete() const {
  for (int role = 0; role < 6; ++role)
    if (count(static_cast<Role>(role)) == 0) return false;
  return true;
}

Clusters difference(Clusters a, const Clusters& b) {
  for (std::size_t c = 0; c < a.size(); ++c)
    for (std::size_t i = 0; i < a[c].size(); ++i) a[c][i] -= b[c][i];
  return a;
}

Clusters percent(Clusters values, const std::function<bool(double)>& condition) {
  for (auto& own : values)
    for (double& value : own) value = condition(value) ? 100 : 0;
  return values;
}

std::vector<double> flatten(const Clusters& values, std::span<const std::size_t> picks) {
  std::vector<double> flat;
  for (const std::size_t c : picks) flat.insert(flat.end(), values[c].begin(), values[c].end());
  return flat;
}

double mean_of(const Clusters& clusters) {
  return mean(flatten(clusters, all_of(clusters.size())));
}

double quantile_of(const Clusters& clusters, double q) {
  auto flat = flatten(clusters, all_of(clusters.size()));
  return fast_quantile(flat, q);
}

Row pooled_row(std::string quantity, std::size_t layers,
               const std::function<double(std::span<const std::size_t>)>& statistic, const Pool& pool) {
  if (layers == 0) return exact_row(std::move(quantity), kNan);
  const double value = statistic(all_of(layers));
  const Interval interval = bootstrap(layers, statistic, pool.rng(quantity));
  return sampled_row(std::move(quantity), value, interval);
}

Row pooled_mean(std::string quantity, const Clusters& clusters, const Pool& pool) {
  std::vector<double> sums, counts;
  for (const auto& own : clusters) {
    sums.push_back(std::accumulate(own.begin(), own.end(), 0.0));
    counts.push_back(static_cast<double>(own.size()));
  }
  const auto statistic = [&](std::span<const std::size_t> picks) {
    double sum = 0, count = 0;
    for (const std::size_t c : picks) {
      sum += sums[c];
      count += counts[c];
    }
    return sum / count;
  };
  return pooled_row(std::move(quantity), clusters.size(), statistic, pool);
}

Row pooled_quantile(std::string quantity, const Clusters& clusters, double q, const Pool& pool) {
  const auto statistic = [&](std::span<const std::size_t> picks) {
    auto flat = flatten(clusters, picks);
    return fast_quantile(flat, q);
  };
  return pooled_row(std::move(quantity), clusters.size(), statistic, pool);
}

double line_crossover(const std::vector<double>& kappa, const std::vector<double>& lead) {
  double x = 0, y = 0, xx = 0, xy = 0;
  const auto n = static_cast<double>(kappa.size());
  for (std::size_t i = 0; i < kappa.size(); ++i) {
    x += kappa[i] / n;
    y += lead[i] / n;
    xx += kappa[i] * kappa[i] / n;
    xy += kappa[i] * lead[i] / n;
  }
  return x - y * (xx - x * x) / (xy - x * y);
}

}  // namespace lowbit::int_vs_fp
