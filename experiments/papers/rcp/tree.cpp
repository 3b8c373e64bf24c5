#include "experiments/papers/rcp/tree.hpp"

#include <algorithm>

namespace lowbit::rcp {

namespace {

constexpr std::size_t kQuantiles = 64;

/// 2 p (1 - p) times the number of samples.
double gini(double positive, double count) {
  return count > 0 ? 2 * positive * (count - positive) / count : 0;
}

struct Cut {
  double gain = 0;
  int feature = -1;
  float at = 0;
};

/// Best of the cuts at 64 quantiles of one feature.
void try_feature(const std::vector<Sample>& samples, std::size_t begin, std::size_t end, int feature,
                 std::size_t min_leaf, Cut& best) {
  std::vector<std::pair<float, bool>> values;
  double positive = 0;
  for (std::size_t i = begin; i < end; ++i) {
    values.emplace_back(samples[i].x[static_cast<std::size_t>(feature)], samples[i].converged);
    positive += samples[i].converged;
  }
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size(), step = std::max<std::size_t>(1, n / kQuantiles);
  const double whole = gini(positive, static_cast<double>(n));
  double left_positive = 0;
  std::size_t next = step;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    left_positive += values[i].second;
    if (i + 1 < next || values[i].first == values[i + 1].first) continue;
    next = i + 1 + step;
    const std::size_t left = i + 1, right = n - left;
    if (left < min_leaf || right < min_leaf) continue;
    const double gain = whole - gini(left_positive, static_cast<double>(left)) -
                        gini(positive - left_positive, static_cast<double>(right));
    if (gain > best.gain) best = {gain, feature, values[i].first};
  }
}

Features features(const early_exit::View& view) {
  Features x;
  for (std::size_t back = 0; back < kHistory; ++back) {
    x[back] = back < view.history() ? static_cast<float>(view.rank(back)) : kMissing;
  }
  return x;
}

class TreeDetector final : public early_exit::Detector {
 public:
  explicit TreeDetector(std::shared_ptr<const Tree> tree) : tree_(std::move(tree)) {}
  early_exit::DetectorInfo info() const override {
    return {"tree",
            "classification tree on the history of ranks",
            "arXiv 2508.17627 v2",
            early_exit::Granularity::sentence,
            early_exit::kRank,
            kHistory};
  }
  early_exit::Decision step(const early_exit::View& view) override {
    return tree_->stops(features(view)) ? early_exit::Decision::stop() : early_exit::Decision::go();
  }

 private:
  std::shared_ptr<const Tree> tree_;
};

}  // namespace

Tree::Tree(std::vector<Sample> samples, const TreeOptions& options) : options_(options) {
  grow(samples, 0, samples.size(), 0);
  double total = 0;
  for (const double v : importance_) total += v;
  for (double& v : importance_) v = total > 0 ? v / total : 0;
}

std::size_t Tree::grow(std::vector<Sample>& samples, std::size_t begin, std::size_t end, int depth) {
  const std::size_t index = nodes_.size();
  nodes_.emplace_back();
  double positive = 0;
  for (std::size_t i = begin; i < end; ++i) positive += samples[i].converged;
  nodes_[index].stop = end > begin && positive / static_cast<double>(end - begin) > options_.threshold;
  Cut best;
  for (int f = 0; depth < options_.depth && f < static_cast<int>(kHistory); ++f) {
    try_feature(samples, begin, end, f, options_.min_leaf, best);
  }
  if (best.feature < 0) return index;
  importance_[static_cast<std::size_t>(best.feature)] += best.gain;
  const auto middle = std::stable_partition(
      samples.begin() + static_cast<std::ptrdiff_t>(begin), samples.begin() + static_cast<std::ptrdiff_t>(end),
      [&](const Sample& s) { return s.x[static_cast<std::size_t>(best.feature)] <= best.at; });
  const auto cut = static_cast<std::size_t>(middle - samples.begin());
  nodes_[index].feature = best.feature;
  nodes_[index].cut = best.at;
  const std::size_t left = grow(samples, begin, cut, depth + 1);
  const std::size_t right = grow(samples, cut, end, depth + 1);
  nodes_[index].left = left;
  nodes_[index].right = right;
  return index;
}

bool Tree::stops(const Features& x) const {
  std::size_t at = 0;
  while (nodes_[at].feature >= 0) {
    at = x[static_cast<std::size_t>(nodes_[at].feature)] <= nodes_[at].cut ? nodes_[at].left : nodes_[at].right;
  }
  return nodes_[at].stop;
}

std::vector<Sample> samples(const early_exit::Profile& profile, std::uint64_t seed, std::size_t count,
                            std::size_t per_trace) {
  std::vector<Sample> out;
  for (std::size_t i = 0; i < count; ++i) {
    const early_exit::Trace t = early_exit::generate(profile, seed, i).trace;
    const std::size_t step = std::max<std::size_t>(1, t.sentences() / per_trace);
    for (std::size_t k = 0; k < t.sentences(); k += step) {
      Sample s{};
      for (std::size_t back = 0; back < kHistory; ++back) {
        s.x[back] = back <= k ? static_cast<float>(t.rank[k - back]) : kMissing;
      }
      s.converged = t.k_rcp != 0 && static_cast<std::int32_t>(k) + 1 >= t.k_rcp;
      out.push_back(s);
    }
  }
  return out;
}

std::unique_ptr<early_exit::Detector> tree_detector(std::shared_ptr<const Tree> tree) {
  return std::make_unique<TreeDetector>(std::move(tree));
}

}  // namespace lowbit::rcp
