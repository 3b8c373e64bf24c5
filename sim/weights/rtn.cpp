// Round to nearest.
#include "formats/error.hpp"
#include "sim/weights/methods.hpp"
#include "sim/weights/settings.hpp"

namespace lowbit::weights {
namespace {

class Rtn : public Method {
 public:
  explicit Rtn(ScaleSearch search) : search_(search) {}
  std::string name() const override { return "rtn:grid=" + to_string(search_); }
  Needs needs() const override { return {}; }

  Solution solve(const InputGroup& group, const Statistics& statistics, const Target& target, Rng,
                 Threads& threads) const override {
    Solution solution;
    solution.input = nominal_input(group, target);
    const std::vector<Matrix> weights = transformed_weights(group, *solution.input.transform);
    const std::vector<Grid> grids = make_grids(weights, target, search_, threads);
    calibrate_input(solution.input, statistics, target, grids, threads);
    const arma::mat moment = transformed_moment(statistics.moment, *solution.input.transform);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      SolvedLinear linear;
      linear.effective = Matrix(weights[i].rows(), weights[i].columns());
      grids[i].round(weights[i], linear.effective, threads);
      complete(linear, weights[i], grids[i], moment, threads);
      solution.linears.push_back(std::move(linear));
    }
    return solution;
  }

 private:
  ScaleSearch search_;
};

}  // namespace

std::shared_ptr<const Method> make_rtn(const Settings& settings) {
  settings.accept({"grid"});
  return std::make_shared<Rtn>(settings.grid(ScaleSearch::absmax));
}

}  // namespace lowbit::weights
