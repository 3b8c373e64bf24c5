// How a changed model (a quantised KV cache, say) moves the end token's rank at sentence ends: measured on pairs of
// traces of one text, and put on simulated ranks.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "sim/early_exit/trace.hpp"

namespace lowbit::early_exit {

/// Probabilities at which the quantiles of a bin are kept: 0, 0.05, ..., 1.
inline constexpr std::size_t kChangeQuantiles = 21;

/// Changes of log10 R where the unchanged log10 R lies in [from, to).
struct RankChangeBin {
  double from = 0, to = 0;
  std::size_t count = 0;
  std::vector<double> quantiles;  ///< kChangeQuantiles, ascending
};

struct RankChange {
  std::string name;  ///< of the change, such as a format of the cache
  double lag1 = 0;   ///< correlation of the normal scores of neighbouring sentences' changes
  double sd = 0;     ///< of all changes of log10 R
  double mean = 0;
  std::vector<RankChangeBin> bins;  ///< adjoining, ascending
};

/// Ranks of one text at the same sentence ends, without and with the change.
struct RankPair {
  std::vector<std::int32_t> before, after;
};

/// Quantiles (linear between order statistics) of log10 R' - log10 R in bins of half a decade of R, neighbours joined
/// until each has `least` sentences. lag1: changes become ranks within their bin (ties share the mean), these normal
/// scores, and neighbours of one text are correlated. Error (bad_data): pairs of different lengths, fewer than `least`
/// sentences in all.
RankChange measure_change(const std::string& name, std::span<const RankPair> pairs, std::size_t least = 30);

/// The change at log10 R = x for a uniform u in [0, 1]: the inverse of the bin's distribution function, linear between
/// the kept quantiles; the nearest bin outside of all.
double change_at(const RankChange& change, double x, double u);

}  // namespace lowbit::early_exit
