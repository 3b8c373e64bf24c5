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

/// Weights of a group in the basis of the product: divided into the channels (w_c * scale_c) and transformed.
std::vector<Matrix> transformed_weights(const InputGroup& group, const Transform& transform,
                                        const std::vector<float>& channel_scale = {});
/// T^T H T for the transform's block-diagonal T.
arma::mat transformed_moment(const arma::mat& moment, const Transform& transform);
/// Grids of all linears; a fused group shares the second-level scale.
std::vector<Grid> make_grids(const std::vector<Matrix>& weights, const Target& target, ScaleSearch search,
                             Threads& threads);
/// Codes (where the format has them), bits and errors of a linear whose effective weight is set.
void complete(SolvedLinear& linear, const Matrix& weight, const Grid& grid, const arma::mat& moment, Threads& threads);
/// Fills what calibration decides of the input map: static second-level scale, dagger levels.
void calibrate_input(InputMap& input, const Statistics& statistics, const Target& target,
                     const std::vector<Grid>& grids, Threads& threads);
/// What calibrate_input needs.
Needs input_needs(const Target& target);

}  // namespace lowbit::weights
