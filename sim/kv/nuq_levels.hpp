// Levels of non-uniform quantisation, from calibration values.
#pragma once
#include <cstddef>
#include <vector>

namespace lowbit::kv {

/// Calibration values, and what each counts; no weights: all the same.
struct Samples {
  std::vector<float> values, weights;
};

/// `count` centroids of one-dimensional k-means (Lloyd, at most 50 rounds) from equally spaced quantiles of the values,
/// rising. Centroids are weighted means: with squared gradients as weights this is the sensitivity-weighted k-means of
/// nuqX (KVQuant, arXiv 2401.18079). Values of equal distance belong to the lower centroid; a centroid without weight
/// stays. Weights are at least 0.
std::vector<float> k_means(Samples samples, std::size_t count);
std::vector<float> k_means(std::vector<float> values, std::size_t count);
/// `count` levels from -1 to 1.
std::vector<float> uniform_levels(std::size_t count);
/// Number of the level next to x, the lower one of two as near.
std::size_t nearest_level(const std::vector<float>& levels, float x);

/// Q-Norm (KVQuant): c' = c s1 / s2 + (m1 - m2 s1 / s2) for each level c, with mean m1 and standard
/// deviation s1 of the values and m2, s2 of what the nearest levels make of them: values decoded by c' have the moments
/// of the values. The levels themselves where s2 = 0.
std::vector<float> normalised_levels(const std::vector<float>& levels, const std::vector<float>& values);

}  // namespace lowbit::kv
