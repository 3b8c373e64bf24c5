// Published numbers, our numbers beside them, and the verdict.
#pragma once
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experiments/core/point.hpp"
#include "sim/rng.hpp"

namespace lowbit {

/// Closed interval.
struct Interval {
  double low = 0, high = 0;
  bool contains(double v) const { return low <= v && v <= high; }
};

/// A published number, or a band that a number must fall into.
struct Reference {
  std::string quantity;            ///< its name: the row of the same quantity is compared with it
  std::optional<double> value{};   ///< as printed; none where only a band is known
  std::string source{};            ///< "arXiv:2510.25602, Table 2"
  std::optional<Interval> band{};  ///< accepted values; without it the verdict is no_band
  std::string unit = "1";
  std::string note{};  ///< how it was read off, or why it cannot be recomputed
};

/// Published numbers in long form, for overlays in figures: columns of equal length, stored as they are.
struct ReferenceTable {
  std::string name;
  std::string source{};
  std::vector<std::pair<std::string, std::vector<Value>>> columns;
};

/// One line of the report. The runner fills reference, source and band from the Reference of the same quantity and
/// derives the verdict. Without an interval a number must be exact (no sampling, no rounding that matters): a row with
/// neither is refused.
struct Row {
  std::string quantity;
  double ours = std::numeric_limits<double>::quiet_NaN();  ///< NaN: not run
  std::optional<Interval> interval{};                      ///< 95 % interval
  bool exact = false;
  bool judged = true;  ///< false: the band does not hold for this number (another setting, an ordering within its own
                       ///< error): it is left out and there is no verdict; the note says why
  std::string note{};
  std::optional<double> reference{};
  std::string source{};
  std::optional<Interval> band{};
  std::string figure{};  ///< filled by the runner
  std::string unit{};    ///< of the Reference, or given
};

enum class Verdict { within, outside, no_band, not_run };
std::string_view to_string(Verdict verdict);
/// not_run without a number, no_band without a band or for a row that is not to be judged, else whether `ours` lies in
/// the band.
Verdict verdict_of(const Row& row);

/// Coordinates that pick a point, or parameters: {{"format", "mxint8"}, {"kappa", 2.0}}.
using Coordinates = std::vector<std::pair<std::string, Value>>;

/// The complete results of a run.
class Results {
 public:
  Results(const Plan& plan, const std::vector<std::vector<double>>& outputs) : plan_(plan), outputs_(outputs) {}
  const Params& params() const;
  /// Coordinates of an axis or extra dim.
  const std::vector<Value>& coordinates(std::string_view name) const;
  /// Value of an output. An axis or dim with one coordinate may be left out; a coordinate that this run does not have
  /// (--set, --quick) gives NaN, which a row reports as not_run.
  double at(std::string_view output, const Coordinates& where) const;
  /// Values along one axis or dim, the others fixed by `where`; empty if `where` names a coordinate that this run
  /// lacks.
  std::vector<double> along(std::string_view output, std::string_view axis, const Coordinates& where) const;
  /// All values of an output, C order over the axes as declared, then its extra dims.
  const std::vector<double>& all(std::string_view output) const;
  /// A random stream for bootstraps, a function of (seed, experiment, label).
  Rng rng(std::string_view label) const;

 private:
  const Plan& plan_;
  const std::vector<std::vector<double>>& outputs_;
};

/// Gives the rows their figure, references and sources, adds a not_run row for every reference without one, and checks
/// them: std::logic_error for two rows of one quantity or a number that has no interval and is not exact.
std::vector<Row> complete_rows(const std::string& figure, std::vector<Row> rows,
                               const std::vector<Reference>& references);

}  // namespace lowbit
