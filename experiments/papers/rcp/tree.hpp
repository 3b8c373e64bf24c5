// A small classification tree on the history of ranks: how the paper found its rules.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "sim/early_exit/detector.hpp"
#include "sim/early_exit/generator.hpp"

namespace lowbit::rcp {

/// R_t, R_{t-1}, ..., R_{t-5} (a tree sees their order alone); kMissing where the history is shorter.
inline constexpr std::size_t kHistory = 6;
inline constexpr float kMissing = 1e9f;
using Features = std::array<float, kHistory>;

struct Sample {
  Features x;
  bool converged;  ///< sentence at or after k_RCP
};

struct TreeOptions {
  int depth = 4;
  std::size_t min_leaf = 200;  ///< samples
  double threshold = 0.5;      ///< share of converged samples above which a leaf stops
};

/// CART with the Gini impurity (Breiman et al. 1984): axis-parallel cuts, each the best of 64 quantiles per feature.
/// Not stated in the paper: depth, leaf size, class weights; these are parameters.
class Tree {
 public:
  Tree(std::vector<Sample> samples, const TreeOptions& options);
  bool stops(const Features& x) const;
  /// Impurity that cuts on each feature removed, as a share of all that was removed.
  const std::array<double, kHistory>& importance() const { return importance_; }

 private:
  struct Node {
    int feature = -1;  ///< -1: leaf
    float cut = 0;     ///< left where x <= cut
    std::size_t left = 0, right = 0;
    bool stop = false;
  };
  std::size_t grow(std::vector<Sample>& samples, std::size_t begin, std::size_t end, int depth);

  TreeOptions options_;
  std::vector<Node> nodes_;
  std::array<double, kHistory> importance_{};
};

/// Samples from traces 0 .. count - 1: every sentence of each, at most `per_trace` of them evenly spaced.
std::vector<Sample> samples(const early_exit::Profile& profile, std::uint64_t seed, std::size_t count,
                            std::size_t per_trace);

/// The tree as a detector.
std::unique_ptr<early_exit::Detector> tree_detector(std::shared_ptr<const Tree> tree);

}  // namespace lowbit::rcp
