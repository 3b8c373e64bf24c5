// The tensors of figure 4 and Table 2: which operand of a linear layer a stored tensor is, and along which axis it is
// blocked.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "formats/block.hpp"
#include "sim/source/stored_tensor.hpp"

namespace lowbit::int_vs_fp {

/// The six quantised operands of a linear layer (section 3.1); a transposed operand is the same tensor blocked along
/// its last axis but one.
enum class Role { W, X, dY, W_transposed, X_transposed, dY_transposed };
inline constexpr const char* kRoleNames[] = {"W", "X", "dY", "W_transposed", "X_transposed", "dY_transposed"};

/// One operand: a tensor, its role, and the axis its groups run along.
struct Operand {
  std::string name;  ///< name of the tensor, with "^T" behind it for a transposed operand
  StoredTensor tensor;
  Role role;
  Layout layout() const { return Layout(tensor.shape, role >= Role::W_transposed ? -2 : -1); }
};

/// Declares the parameters that choose the tensors: tensors, weights, activations, gradients, leave_out, blockings.
Experiment with_tensor_params(Experiment experiment);

/// The values of these parameters, from Params or a Point.
struct Selection {
  std::string tensors, weights, activations, gradients, leave_out, blockings;

  template <class Source>
  static Selection of(const Source& source) {
    return {source.text("tensors"),   source.text("weights"),   source.text("activations"),
            source.text("gradients"), source.text("leave_out"), source.text("blockings")};
  }
};

/// Operands that the selection names, in the order of the file: tensors of two axes and more whose names match one of
/// the patterns (gradients first, then activations, then weights) and not leave_out; the transposed ones when
/// blockings=all. Errors: those of the readers, no tensor of a known role.
std::vector<Operand> operands(const Selection& selection);
/// The one of that name; usage Error if there is none.
const Operand& operand_of(const std::vector<Operand>& operands, const std::string& name);
/// Names of the operands that the parameters choose, for an axis.
Values operand_names(const Params& params);
/// Empty, or why the committed sample cannot be read.
std::string sample_missing(const Params& params);

}  // namespace lowbit::int_vs_fp
