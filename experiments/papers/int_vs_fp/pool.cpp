#include "experiments/papers/int_vs_fp/pool.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
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
  roles_.resize(names_.size());
  for (const Value& sequence : results.coordinates("sequence")) {
    const auto column = results.along(
        "role", "tensor", {{"sequence", sequence}, {"transform", results.coordinates("transform").front()}});
    for (std::size_t i = 0; i < column.size(); ++i)
      if (!std::isnan(column[i])) roles_[i] = static_cast<Role>(column[i]);
  }
}

std::vector<Clusters> Pool::values(const std::vector<Output>& outputs, Operands operands, const Filter& keep) const {
  std::vector<Clusters> clusters(outputs.size(), Clusters(clusters_));
  const auto& sequences = results_.coordinates("sequence");
  for (const Value& sequence : sequences) {
    std::vector<std::vector<double>> columns;
    for (const Output& output : outputs) {
      Coordinates at = output.where;
      at.emplace_back("sequence", sequence);
      columns.push_back(results_.along(output.name, "tensor", at));
    }
    const auto missing = [](std::size_t i) {
      return [i](const std::vector<double>& column) { return column.empty() || std::isnan(column[i]); };
    };
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (!roles_[i] || std::any_of(columns.begin(), columns.end(), missing(i))) continue;
      if (!belongs(*roles_[i], operands) || (keep && !keep(names_[i], *roles_[i]))) continue;
      for (std::size_t o = 0; o < outputs.size(); ++o) {
        auto& own = clusters[o][cluster_[i]];
        own.insert(own.end(), is_weight(*roles_[i]) ? sequences.size() : 1, columns[o][i]);
      }
    }
  }
  for (auto& one : clusters) std::erase_if(one, [](const auto& own) { return own.empty(); });
  return clusters;
}

Clusters Pool::values(const std::string& output, const Coordinates& where, Operands operands,
                      const Filter& keep) const {
  return values({{output, where}}, operands, keep).front();
}

Clusters Pool::difference(const Output& a, const Output& b, Operands operands) const {
  auto both = values({a, b}, operands);
  for (std::size_t c = 0; c < both[0].size(); ++c)
    for (std::size_t i = 0; i < both[0][c].size(); ++i) both[0][c][i] -= both[1][c][i];
  return std::move(both[0]);
}

std::size_t Pool::count(Role role) const {
  return static_cast<std::size_t>(std::count(roles_.begin(), roles_.end(), role));
}

bool Pool::complete() const {
  for (int role = 0; role < 6; ++role)
    if (count(static_cast<Role>(role)) == 0) return false;
  return true;
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

double quantile_of(const Clusters& clusters, std::span<const std::size_t> picks, double q) {
  auto flat = flatten(clusters, picks);
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
  const auto statistic = [&](std::span<const std::size_t> picks) { return quantile_of(clusters, picks, q); };
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
