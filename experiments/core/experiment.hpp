// How the experiments of a paper are declared: experiments/papers/<paper>.cpp registers one Experiment per figure or
// table, named "<paper>/<figure>", and contains nothing else but the functions that compute it. Command line, sweeps,
// seeds, threads, shards, resume, files, progress and report belong to the runner.
//
//   namespace lowbit {
//   namespace {                                     // two papers may both have a fig3
//   Record compute_fig3(const Point& p, Rng rng) {  // pure: no files, no globals, no clock
//     const auto& blocks = p.shared<Blocks>("blocks");
//     return {{"qsnr", qsnr(blocks, parse_format(p.text("format")))}};
//   }
//   Experiment fig3() {
//     return Experiment{"int_vs_fp/fig3"}
//         .paper("arXiv:2510.25602", "Fig. 3", "QSNR against the crest factor")
//         .param("trials", 64, "blocks per point", at_least(1))
//         .axis("format", formats({"mxint8", "mxfp8_e4m3"}), "", "block format")
//         .axis("kappa", linspace(1, 12, 45), "1", "crest factor max|x| / rms(x)")
//         .draws_vary_with({"kappa"})               // every format sees the same draws
//         .shared("blocks", {"kappa"}, make_blocks) // Blocks make_blocks(const Point&, Rng)
//         .output("qsnr", "dB", "10 log10(sum x^2 / sum (x - xq)^2)")
//         .quick("trials=2 kappa=1,6,12")
//         .cost(20)
//         .point(compute_fig3)
//         .reference({.quantity = "crossover", .value = 7.55, .source = "Fig. 3", .band = Interval{7.5, 7.6}})
//         .rows(fig3_rows);                         // std::vector<Row> fig3_rows(const Results&)
//   }
//   LOWBIT_REGISTER(fig3);
//   }  // namespace
//   }  // namespace lowbit
//
// Randomness: the Rng of a point is a function of (seed, experiment, coordinates of the draws_vary_with axes), the Rng
// of a shared state of (seed, experiment, its name, those of its axes that are draws_vary_with axes). So results depend
// on neither threads, order, shard nor on values added later.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "experiments/core/axes.hpp"
#include "experiments/core/point.hpp"
#include "experiments/core/report.hpp"
#include "sim/rng.hpp"

namespace lowbit {

using ValuesFunction = std::function<Values(const Params&)>;

struct ParamDeclaration {
  std::string name;
  Value fallback;
  std::string help;
  Domain domain;
};
struct AxisDeclaration {
  std::string name;
  ValuesFunction values;
  std::string unit, help;
};
struct OutputDeclaration {
  std::string name, unit, help;
  std::vector<std::string> dims;  ///< extra dims, after the axes
  bool narrow = false;            ///< stored as float32
};
struct SharedDeclaration {
  std::string name;
  std::vector<std::string> axes;
  std::function<std::shared_ptr<const void>(const Point&, Rng)> make;
  const std::type_info* type = nullptr;
};

/// Everything an experiment declares. Read by the runner; written through Experiment.
struct Declaration {
  std::string name;                       ///< "<paper>/<figure>"
  std::string identifier, figure, title;  ///< paper(...)
  std::vector<ParamDeclaration> params;
  std::vector<AxisDeclaration> axes, dims;
  std::optional<std::vector<std::string>> draws_vary_with;  ///< default: all axes
  std::vector<SharedDeclaration> shared;
  std::vector<OutputDeclaration> outputs;
  std::string quick;
  std::optional<std::string> full;
  double cost = 1;
  bool runs_alone = false;
  std::function<Record(const Point&, Rng)> point;
  std::function<bool(const Point&)> where;
  std::function<void(const Params&)> validate;
  std::function<std::string(const Params&)> unavailable;
  std::vector<Reference> references;
  std::vector<ReferenceTable> tables;
  std::function<std::vector<Row>(const Results&)> rows;

  std::string paper_slug() const { return name.substr(0, name.find('/')); }
  std::string figure_slug() const { return name.substr(name.find('/') + 1); }
};

/// The builder. Names of axes, dims, params and outputs are snake_case, share one name space, and are the names in the
/// file and on the command line (`--kappa 1:12:0.25` or `--set kappa=1:12:0.25`).
class Experiment {
 public:
  explicit Experiment(std::string name) { d_.name = std::move(name); }

  /// What is reproduced: identifier ("arXiv:2510.25602"), its figure or table, one line for lists and titles.
  Experiment& paper(std::string identifier, std::string figure, std::string title);
  /// A parameter; its kind is that of `fallback` (64 integer, 0.5 real, "x" text).
  Experiment& param(std::string name, Value fallback, std::string help, Domain domain = {});
  /// A sweep axis. Points are the product of all axes, in C order, later axes fastest. Unit "1" for pure numbers, ""
  /// for texts. An experiment without axes has one point.
  Experiment& axis(std::string name, Values values, std::string unit, std::string help);
  /// An axis whose default values follow from the parameters (the tensors of a file, say).
  Experiment& axis(std::string name, ValuesFunction values, std::string unit, std::string help);
  /// A dimension of outputs that is not swept (quantiles, bins, trials): each point returns all of it.
  Experiment& dim(std::string name, Values values, std::string unit, std::string help);
  Experiment& dim(std::string name, ValuesFunction values, std::string unit, std::string help);
  /// Axes that change the random draws of a point; the others see equal draws.
  Experiment& draws_vary_with(std::vector<std::string> axes);
  /// State that points share: computed once for each combination of `axes`, kept while points need it. `make` is
  /// T(const Point&, Rng), may use parameters, these axes and shared states declared before; points read it with
  /// Point::shared<T>(name).
  template <class F>
  Experiment& shared(std::string name, std::vector<std::string> axes, F make) {
    using T = std::decay_t<std::invoke_result_t<F, const Point&, Rng>>;
    d_.shared.push_back({std::move(name), std::move(axes),
                         [make](const Point& p, Rng rng) -> std::shared_ptr<const void> {
                           return std::make_shared<const T>(make(p, rng));
                         },
                         &typeid(T)});
    return *this;
  }
  /// An output: one number per point, or an array over the named dims. `help` holds the formula.
  Experiment& output(std::string name, std::string unit, std::string help, std::vector<std::string> dims = {});
  /// As output, stored as float32: for large arrays such as images.
  Experiment& narrow_output(std::string name, std::string unit, std::string help, std::vector<std::string> dims = {});
  /// Settings of --quick, the smoke set: "trials=2 kappa=1,6,12", separated by blanks.
  Experiment& quick(std::string settings);
  /// Settings of --full, where there is more to do than the default.
  Experiment& full(std::string settings);
  /// Seconds of the default settings on 2 cores, for plans and estimates.
  Experiment& cost(double seconds);
  /// Points run one after another and each gets all threads (Point::threads); for few heavy points.
  Experiment& runs_alone();
  /// The function of a point. Called from several threads at once.
  Experiment& point(std::function<Record(const Point&, Rng)> compute);
  /// Points for which this is false do not apply: not computed, NaN, marked 2 in `done`. Must not use shared state.
  Experiment& where(std::function<bool(const Point&)> applies);
  /// Checks parameters against each other before anything runs; throws Error.
  Experiment& validate(std::function<void(const Params&)> check);
  /// Returns why the experiment cannot run here and the command that would change it ("" if it can): its rows then say
  /// not_run with that note.
  Experiment& unavailable_when(std::function<std::string(const Params&)> reason);
  Experiment& reference(Reference reference);
  Experiment& reference_table(ReferenceTable table);
  /// The report, from complete results.
  Experiment& rows(std::function<std::vector<Row>(const Results&)> rows);

  const Declaration& declared() const { return d_; }

 private:
  Declaration d_;
};

using ExperimentFunction = Experiment (*)();
struct Registrar {
  Registrar(ExperimentFunction make, const char* file);
};
#define LOWBIT_REGISTER(function)                                \
  static const ::lowbit::Registrar lowbit_registrar_##function { \
    &function, __FILE__                                          \
  }

/// All registered experiments, sorted by name, checked (names, dims, duplicates): std::logic_error naming the files.
const std::vector<Experiment>& experiments();
/// The experiment of that name, or nullptr.
const Experiment* find_experiment(std::string_view name);
/// Throws std::logic_error if a declaration is wrong: a name that is no snake_case or taken or reserved for an option,
/// an output with an undeclared dim, a shared state or draws_vary_with with an unknown axis, quick or full that do not
/// parse.
void check_declaration(const Declaration& declaration);

/// Computes one point outside a run, for tests: coordinates and parameters not given keep their (first) default.
Record evaluate(const Experiment& experiment, const Coordinates& where = {}, std::uint64_t seed = 1);

}  // namespace lowbit
