// The ways in which the pairs' crossovers are computed and measured in int_vs_fp/fig3_measured.
#pragma once
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"

namespace lowbit::int_vs_fp {

enum class Method {
  theory,         ///< the theorems
  imposed_crest,  ///< method A: Gaussian body clipped at an imposed crest factor, integrated exactly
  blocks,         ///< method B: drawn blocks, binned by their crest factor
  tensors         ///< method C: drawn tensors of a family, one point per member
};

/// A case by its name: "theory", "A", "B:laplace", "B:row_outlier:g128", "C:t" ...
struct MeasuredCase {
  std::string_view name;
  Method method;
  std::string_view variant;  ///< theory and A: which constants; B: source; C: family
  std::size_t group = 0;     ///< B: values per block where it is not the pair's own
};
/// All cases, in the order of the figure.
const std::vector<MeasuredCase>& measured_cases();
/// The case of that name; std::logic_error if there is none.
const MeasuredCase& measured_case(std::string_view name);
/// Whether the case says something about the pair: A knows no E4M3 scales, wide blocks are run for the 8-bit pair
/// alone.
bool applies(const MeasuredCase& measured, const Pair& pair);

/// Curves of a pair and what is read off them. Vectors hold one value per bin or point; those that are not used are
/// NaN.
struct MeasuredCurves {
  std::vector<double> kappa, integer, floating;               ///< crest factor, QSNR in dB
  std::vector<Interval> integer_interval, floating_interval;  ///< B and C: 95 % of the QSNRs
  std::vector<double> blocks;                                 ///< B: blocks in the bin
  double crossover, crossover_qsnr;                           ///< NaN: none
  std::optional<Interval> interval;                           ///< none: exact
  double sign_changes;                                        ///< of integer - float along the curve
  double win = NAN;                                           ///< B: share of blocks that the integer wins
  Interval win_interval{NAN, NAN};
};

/// Sizes that the experiment's parameters choose.
struct MeasuredSizes {
  std::size_t blocks, tensors, rows, columns;  ///< B: blocks drawn; C: tensors a member of the family, and their shape
};
/// By the theorems: exact, crest factors on a grid.
MeasuredCurves theory_curves(const MeasuredCase& measured, const Pair& pair);
/// Method A: exact integrals, crest factors on a grid.
MeasuredCurves imposed_crest_curves(const MeasuredCase& measured, const Pair& pair);
/// Method B: drawn blocks in bins of crest factors, with intervals of a bootstrap over blocks.
MeasuredCurves block_curves(const MeasuredCase& measured, const Pair& pair, const MeasuredSizes& sizes, const Rng& rng);
/// Method C: drawn tensors, one point a member of the family, with intervals over tensors.
MeasuredCurves tensor_curves(const MeasuredCase& measured, const Pair& pair, const MeasuredSizes& sizes,
                             const Rng& rng);

}  // namespace lowbit::int_vs_fp
