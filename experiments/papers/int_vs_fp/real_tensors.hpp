// The tensors of figure 4 and Table 2: which operand of a linear layer a tensor is, along which axis it is blocked, and
// where it comes from: a file, the committed samples, or a language model at work.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "formats/block.hpp"
#include "sim/model/tensor.hpp"
#include "sim/source/stored_tensor.hpp"

namespace lowbit::int_vs_fp {

/// The six quantised operands of a linear layer (section 3.1); a transposed operand is the same tensor blocked along
/// its other axis.
enum class Role { W, X, dY, W_transposed, X_transposed, dY_transposed };
inline constexpr const char* kRoleNames[] = {"W", "X", "dY", "W_transposed", "X_transposed", "dY_transposed"};
constexpr bool is_weight(Role role) {
  return role == Role::W || role == Role::W_transposed;
}
constexpr bool is_transposed(Role role) {
  return role >= Role::W_transposed;
}

/// One operand, by name: that of its tensor, with "^T" behind it for a transposed one.
struct Operand {
  std::string name;
  std::string tensor;  ///< name of the tensor
  Role role;
};

/// Declares the parameters that choose the tensors and the windows, and the axes tensor and sequence.
Experiment with_tensor_axes(Experiment experiment, std::int64_t default_sequences, const char* default_tensors);

/// Values of --tensors beside paths of files: "minilm" (rows of MiniLM's float32 weights), "sample" (the same and
/// tensors of SmolLM2 at work) and "model:NAME" (every linear layer of a model but lm_head, over windows of a text).
/// "auto" is the model where scripts/get-model has put it, else the sample.
inline constexpr const char* kSample = "sample";
inline constexpr const char* kWeightSample = "minilm";
inline constexpr const char* kModelPrefix = "model:";

/// The values of the parameters, from Params or a Point.
struct Selection {
  std::string tensors, weights, activations, gradients, leave_out, blockings, tokens;
  std::int64_t sequences, context;

  template <class Source>
  static Selection of(const Source& source) {
    return {source.text("tensors"),   source.text("weights"),      source.text("activations"),
            source.text("gradients"), source.text("leave_out"),    source.text("blockings"),
            source.text("tokens"),    source.integer("sequences"), source.integer("context")};
  }
  bool is_sample() const { return tensors == kSample || tensors == kWeightSample; }
  bool is_model() const { return tensors.starts_with(kModelPrefix); }
};

/// Operands that the selection names: tensors of two axes and more whose names match one of the patterns (gradients
/// first, then activations, then weights) and not leave_out; the transposed ones when blockings=all. In the order of
/// the file, for a model layer by layer. Errors: those of the readers, no tensor of a known role.
std::vector<Operand> operands(const Selection& selection);

/// An operand of one sequence: blocks lie along the columns. X and dY of a file are sequences x tokens x channels (one
/// sequence without the first axis), weights belong to every sequence and are given for the first.
struct OperandMatrix {
  std::vector<float> x;
  std::size_t rows = 0, columns = 0;
  Layout layout() const { return Layout::matrix(rows, columns); }
};

/// Opens what a selection names, runs the model.
class TensorSource {
 public:
  explicit TensorSource(const Selection& selection, int threads);
  ~TensorSource();
  const std::vector<Operand>& operands() const;
  /// Tensors of one sequence that have to be computed first; empty for files.
  struct Window;
  std::shared_ptr<const Window> window(std::size_t sequence, int threads) const;
  /// Nothing where the operand has no such sequence.
  std::optional<OperandMatrix> load(const Operand& operand, std::size_t sequence, const Window& window) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// The operand of that name; usage Error if there is none.
const Operand& operand_of(const std::vector<Operand>& operands, const std::string& name);
/// Empty, or why the committed samples cannot be read.
std::string sample_missing(const Params& params);
/// What the tensors are, for notes.
std::string describe(const Selection& selection);

}  // namespace lowbit::int_vs_fp
