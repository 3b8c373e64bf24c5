// The methods that are built, and what they share.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "sim/weights/grid.hpp"
#include "sim/weights/method.hpp"

namespace lowbit::weights {

class Settings;

/// Round to nearest on a grid.
std::shared_ptr<const Method> make_rtn(const Settings& settings);
/// GPTQ, arXiv:2210.17323, with the choices of MR-GPTQ, arXiv:2509.23202.
std::shared_ptr<const Method> make_gptq(const Settings& settings);
/// SmoothQuant, arXiv:2211.10438.
std::shared_ptr<const Method> make_smoothquant(const Settings& settings);

/// What a solution begins with.
struct Prepared {
  Target target;
  ScaleSearch search = ScaleSearch::absmax;
  Solution solution;            ///< its input map: transform, divisors, format, what calibration decides
  std::vector<Matrix> weights;  ///< of the linears, in the basis of the product: (w_c * scale_c) T
  std::vector<Grid> grids;      ///< of these; a fused group shares the second-level scale
  arma::mat moment;             ///< of the inputs there; empty where there is none
};
/// `channel_scale`: what the channels of the weights are multiplied with, and those of x divided by; may be empty.
Prepared prepare(const InputGroup& group, const Statistics& statistics, const Target& target, ScaleSearch search,
                 Threads& threads, std::vector<float> channel_scale = {});
/// Linear i of the group with its effective weight: codes where the target keeps them, bits, errors.
SolvedLinear solved(const Prepared& prepared, std::size_t i, Matrix effective, Threads& threads);
/// The same, rounded to nearest on its grid.
SolvedLinear rounded(const Prepared& prepared, std::size_t i, Threads& threads);

/// T^T H T for the transform's block-diagonal T.
arma::mat transformed_moment(const arma::mat& moment, const Transform& transform, Threads& threads);
/// Statistics that the input map needs: a sample, for static second-level scales and dagger levels.
Needs input_needs(const Target& target);

}  // namespace lowbit::weights
