// Statistics over operands and sequences, with intervals that resample whole linear layers: the six operands and all
// windows of one layer are no independent draws.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "experiments/papers/int_vs_fp/real_tensors.hpp"

namespace lowbit::int_vs_fp {

/// Which operands a statistic is over.
enum class Operands { six, without_weights, weights };
inline constexpr const char* kOperandsNames[] = {"six", "without_weights", "weights"};
/// Whether a statistic over `operands` is over those of this role.
bool belongs(Role role, Operands operands);

/// Values by linear layer.
using Clusters = std::vector<std::vector<double>>;

/// What a run holds: axes tensor and sequence, output role.
class Pool {
 public:
  explicit Pool(const Results& results);
  /// An output at some coordinates (beside tensor and sequence).
  struct Output {
    std::string name;
    Coordinates where;
  };
  /// Chooses operands by name and role.
  using Filter = std::function<bool(const std::string& name, Role role)>;
  /// The values of each output, of the operands and sequences where all of them are known: value i of a layer belongs
  /// to the same operand in each. Weights count once for each sequence, so that the six roles weigh alike, as in the
  /// paper's 224 x 6 x 8 tensors.
  std::vector<Clusters> values(const std::vector<Output>& outputs, Operands operands, const Filter& keep = {}) const;
  Clusters values(const std::string& output, const Coordinates& where, Operands operands,
                  const Filter& keep = {}) const;
  /// a - b, operand by operand.
  Clusters difference(const Output& a, const Output& b, Operands operands) const;
  /// Operands of a role that have values in this run.
  std::size_t count(Role role) const;
  /// Whether all six roles are there.
  bool complete() const;
  /// Random stream of a row's bootstrap.
  Rng rng(std::string_view label) const { return results_.rng(label); }

 private:
  const Results& results_;
  std::vector<std::string> names_;
  std::vector<std::optional<Role>> roles_;  ///< none: not computed at any sequence of this run
  std::vector<std::size_t> cluster_;
  std::size_t clusters_ = 0;
};

/// 100 where the condition holds, else 0: means are percentages.
Clusters percent(Clusters values, const std::function<bool(double)>& condition);

/// Quantile q in [0, 1] over the values of the layers `picks`, linear between order statistics; NaN without values.
double quantile_of(const Clusters& clusters, std::span<const std::size_t> picks, double q);

/// Rows with 95 % intervals; NaN (not run) without values.
Row pooled_mean(std::string quantity, const Clusters& clusters, const Pool& pool);
Row pooled_quantile(std::string quantity, const Clusters& clusters, double q, const Pool& pool);
/// Any statistic of a resample of linear layers, given by their numbers.
Row pooled_row(std::string quantity, std::size_t layers,
               const std::function<double(std::span<const std::size_t>)>& statistic, const Pool& pool);
/// `values` of the layers `picks`, one after the other.
std::vector<double> flatten(const Clusters& values, std::span<const std::size_t> picks);

/// Crest factor at which the least-squares line of `lead` against kappa is zero. Not stated in the paper how the
/// crossover of a cloud is read; fixed before the first run.
double line_crossover(const std::vector<double>& kappa, const std::vector<double>& lead);

}  // namespace lowbit::int_vs_fp
