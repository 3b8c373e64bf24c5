// Weight methods: how the weights of a model are put on the grid of a format. One file a method, one line in
// method.cpp.
//
// The unit is the input group: all linear layers that read one tensor x (q, k and v; o; gate and up; down). A method
// says which statistics of x it needs and in which flow of data, and solves one group at a time. The driver
// (quantise_model.hpp) walks the model block by block, accumulates, calls solve, and puts the solution to work; for a
// layer of one's own, statistics come from files (`lowbit quantize --weight`). Rotations of the whole model (norm gains
// folded, R1, R2) are a step before and not a method: rotate_model.hpp.
//
//   RTN        needs()  {}                                       // no data: the driver runs no pass
//              solve    each linear: Grid::make(W T).round()
//   GPTQ       needs()  {.moment, .flow = prefix}                // H = E[x x^T]
//              solve    H' = T^T H T; grid from W T, frozen; U = chol(inverse(H' + damping)); column by column
//                       w_(>i) -= (w_i - q_i) / U_ii * U_(i,>i)
//   Qronos     needs()  {.moment, .flow = sequential, .reference = original}       // H and E[x_ref x^T]
//              solve    W' = W E[x_ref x^T] H^-1: least squares against the float flow; then columns of W' as GPTQ on H
//   WUSH       needs()  {.moment, .flow = prefix}
//              solve    T from the Cholesky factors of H and of W^T W (all linears of the group), per block;
//                       input.transform = that T (a Transform of its own), weights = round(W T^-T)
//   SINQ       needs()  {}
//              solve    alternate row and column deviations to s, t; input.channel_divisor = 1 / t; the linear's
//                       representation.extras hold s and t, effective = diag(s) round(diag(1/s) W diag(1/t)) diag(t)
//   Magnitude  needs()  {}    (Wanda: {.channel_square})
//              solve    mask of the n largest |W| of each m; representation.mask, bits counted with it
//   SmoothQuant needs() {.channel_amax, .flow = original}
//              solve    s = amax(x)^a / amax(W)^(1-a); weights = round(W s); fold = 1 / s where the predecessor is a
//                       norm, input.channel_divisor = s elsewhere
//
// A solution is one per linear: the effective weight in the basis of the product (after the transform of the input),
// what is stored of it, with its bits counted, and a report; and one per group: what happens to x on the way in.
#pragma once
#include <armadillo>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/block.hpp"
#include "sim/model/tensor.hpp"
#include "sim/rng.hpp"
#include "sim/threads.hpp"
#include "sim/transform/transform.hpp"
#include "sim/weights/log_levels.hpp"

namespace lowbit::weights {

using model::ConstRows;
using model::Matrix;
using model::Rows;

/// Which x the statistics are of.
enum class Flow {
  original,   ///< of the model as it is
  prefix,     ///< the blocks before are quantised; in this block activations are, weights not yet (FP-Quant)
  sequential  ///< as prefix, and the groups of this block that are solved are quantised too
};

/// What x is paired with in the cross moment.
enum class Reference {
  none,
  original,  ///< x of the same token in the model as it is
  block      ///< x of the same token in this block unquantised, on the block input of the working flow
};

/// What a method wants to know about its groups.
struct Needs {
  bool moment = false;           ///< E[x x^T]
  bool channel_amax = false;     ///< max |x_c|
  bool channel_square = false;   ///< E[x_c^2]
  bool gradient_square = false;  ///< E[g_o^2] of each output of each linear, g the gradient of the loss, float model
  std::size_t sample = 0;        ///< up to this many tokens, evenly spaced
  Flow flow = Flow::original;
  Reference reference = Reference::none;  ///< not none: E[x_ref x^T] too

  bool any() const {
    return moment || channel_amax || channel_square || gradient_square || sample > 0 || reference != Reference::none;
  }
};

/// Statistics of the inputs of one group, before any transform. Only what was asked for is filled.
struct Statistics {
  std::size_t tokens = 0;
  arma::mat moment;        ///< width x width, mean over tokens
  arma::mat cross_moment;  ///< E[x_ref x^T]: rows x_ref, columns x
  std::vector<double> channel_amax, channel_square;
  Matrix sample;                                               ///< tokens x width
  std::map<std::string, std::vector<double>> gradient_square;  ///< by linear
};

/// One linear layer of a group.
struct GroupLinear {
  std::string name;  ///< "model.layers.0.self_attn.q_proj"
  ConstRows weight;  ///< out x in, as it was
};

struct InputGroup {
  std::string name;  ///< of its first linear: random streams are derived from it
  std::vector<GroupLinear> linears;
  bool after_norm = false;  ///< x is the output of a norm whose gain can take a fold
  std::size_t width() const { return linears.front().weight.columns; }
};

/// The format of an operand: one of the formats, or MXFP4 with 256 log-uniform scale levels ("mxfp4_dagger").
struct OperandFormat {
  Format format;
  bool dagger = false;
  static OperandFormat parse(const std::string& name);
  std::string name() const;
  /// Stored bits a value, shared scales included.
  double bits() const;
};

/// What weights and activations become, and the settings that all methods share.
struct Target {
  OperandFormat weight;
  std::optional<OperandFormat> activation;  ///< none: weight-only
  std::string transform = "id";             ///< of the input features, on both operands
  bool fuse_scales = false;                 ///< one second-level scale for all linears of a group
  bool static_scales = false;               ///< second-level scale of activations from calibration (ts=static)
  bool keep_codes = false;                  ///< solutions hold the codes of their weights
};

/// What is stored of a linear.
struct Representation {
  std::optional<Quantized> codes;  ///< of the effective weight; decodes to its bits
  std::vector<std::uint8_t> mask;
  std::map<std::string, std::vector<float>> extras;
};

/// How well a linear was solved. Errors are tr(E H E^T) / tr(W H W^T), H the moment (identity where there is none).
struct Report {
  double rounding_error = 0;  ///< of rounding to nearest on the absmax grid in the same basis
  double error = 0;           ///< of the effective weight
  std::size_t dead_columns = 0;
  bool fell_back = false;  ///< the Cholesky factorisation failed: rounded to nearest
  std::string note;        ///< one line for the user, empty if there is nothing to say
};

struct SolvedLinear {
  Matrix effective;  ///< out x in
  Representation representation;
  double bits = 32;  ///< a value, everything counted but second-level scales
  Report report;
};

/// What happens to x before the product: x / divisor, then the transform, then the format.
struct InputMap {
  std::vector<float> channel_divisor;  ///< empty: none
  std::shared_ptr<const Transform> transform;
  std::optional<OperandFormat> format;
  std::optional<float> fixed_maximum;  ///< static second-level scale
  std::optional<LogLevels> levels;     ///< dagger
  /// In place; a tensor for second-level scales is all rows of the call.
  void apply(Rows x, std::uint64_t stream, Threads& threads) const;
};

struct Solution {
  std::vector<SolvedLinear> linears;  ///< as InputGroup::linears
  InputMap input;
  std::vector<float> fold;  ///< gains of the norm before are multiplied by it; empty: none
};

class Method {
 public:
  virtual ~Method() = default;
  virtual std::string name() const = 0;  ///< parse_method(name()) is the same method
  virtual Needs needs() const = 0;
  /// Error: statistics that are not finite or do not fit the group, transforms that do not divide.
  virtual Solution solve(const InputGroup& group, const Statistics& statistics, const Target& target, Rng rng,
                         Threads& threads) const = 0;
};

/// Parses `rtn`, `gptq`, `mr_gptq` (gptq:grid=mse:order=act) or `smoothquant`, with options:
///   grid=absmax|mse|mse2|alternate   where scales come from: grid.hpp (all methods)
///   damp=D  block=N  order=index|act   gptq
///   alpha=A                            smoothquant
/// Error: unknown names, options and values, naming the accepted ones.
std::shared_ptr<const Method> parse_method(std::string_view name);

/// The input map that activations pass through while statistics are taken and that solve() starts from: transform and
/// format, no divisor, dynamic scales.
InputMap nominal_input(const InputGroup& group, const Target& target);

}  // namespace lowbit::weights
