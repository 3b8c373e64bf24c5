// What every figure of the paper shows of a detector, as outputs of an experiment and as rows of the report.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "experiments/papers/rcp/population.hpp"

namespace lowbit::rcp {

inline constexpr std::size_t kReplicates = 200;
/// The row that is interpolated from the curve of fixed budgets, at RCPD's tokens.
inline const std::string kMatched = "budget-matched";

/// An experiment of the paper with the parameter `traces`.
Experiment declare(const std::string& figure, const std::string& published_as, const std::string& title);
/// Declares the outputs that estimates() fills.
Experiment& with_estimates(Experiment& experiment);
/// Tokens, compression and accuracy gap (Poisson bootstrap over traces, paired with full thinking), accuracy (Wilson),
/// early stops and delay. Nothing for a detector that is not available.
Record estimates(const Population& population, const std::vector<Outcome>& outcomes, const Weights& weights);

/// estimates() of the point's detector: the function of an experiment over "detector" with the shared states
/// "population" and "weights".
Record compute_population(const Point& point, Rng rng);

/// Axis of the generator's profiles: by default all of them, or the first alone. Accepts the names of profiles.
Values profile_axis(bool all);
/// Axis of stopping rules; accepts names of the detector registry, kOracle and kMatched.
Values detector_axis(std::vector<std::string> specs);
/// Coordinates of a text axis as strings. std::logic_error for numbers.
std::vector<std::string> texts_of(const std::vector<Value>& values);
/// The parameter `traces`.
std::size_t trace_count(const Point& point);
/// kReplicates bootstrap weights of each of the point's traces.
Weights make_weights(const Point& point, Rng rng);
/// All detectors of the axis "detector" (but kMatched) and full, RCPD and no-think beside them, on the profile of the
/// point.
Population make_population(const Point& point, Rng rng);

/// Bands are those of 20,000 traces; fewer traces (--quick) widen them about their middle as sampling does.
inline constexpr double kBandTraces = 20000;
double band_scale(double traces);

/// Collects rows whose interval lies in the outputs <output>_low and <output>_high. The bands that it is given are
/// those of 20,000 traces; it stores them widened for the traces of the run.
class RowList {
 public:
  explicit RowList(const Results& results);
  struct Claim {
    std::string quantity;
    std::string output;
    Coordinates where;
    std::optional<Interval> band;
    std::optional<double> reference;
    std::string source;
    std::string note;
  };
  void add(const Claim& claim);
  /// A row as it is, its band too.
  void add(Row row) { rows_.push_back(std::move(row)); }
  double traces() const { return traces_; }
  Interval widened(Interval band) const;
  double at(const std::string& output, const Coordinates& where) const { return results_.at(output, where); }
  /// Tokens within 5 % and accuracy within 1.5 points of a reference run.
  void add_run(const std::string& name, const Coordinates& where, double tokens, double accuracy,
               const std::string& note);
  /// Percent of traces, with its Wilson interval.
  void add_share(const Claim& claim);
  /// A number without sampling error of its own: of this population of traces.
  void add_exact(const Claim& claim, const std::string& unit);
  std::vector<Row> take() { return std::move(rows_); }

 private:
  Row row_of(const Claim& claim) const;

  const Results& results_;
  double traces_ = kBandTraces, scale_ = 1;
  std::vector<Row> rows_;
};

}  // namespace lowbit::rcp
