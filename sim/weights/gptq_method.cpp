// GPTQ as a method: one factor for the linears that share their input.
#include <fmt/format.h>

#include "formats/error.hpp"
#include "sim/weights/gptq.hpp"
#include "sim/weights/methods.hpp"
#include "sim/weights/settings.hpp"

namespace lowbit::weights {
namespace {

class Gptq : public Method {
 public:
  Gptq(ScaleSearch search, GptqOptions options) : search_(search), options_(options) {}
  std::string name() const override {
    return fmt::format("gptq:grid={}:order={}:damp={}:block={}", to_string(search_),
                       options_.order == ColumnOrder::act ? "act" : "index", options_.damping, options_.block);
  }
  Needs needs() const override {
    Needs needs;
    needs.moment = true;
    needs.flow = Flow::prefix;
    return needs;
  }

  Solution solve(const InputGroup& group, const Statistics& statistics, const Target& target, Rng,
                 Threads& threads) const override {
    Prepared p = prepare(group, statistics, target, search_, threads);
    GptqFactor factor;
    std::vector<bool> dead;
    for (std::size_t i = 0; i < p.weights.size(); ++i) {
      if (std::vector<bool> now = zero_columns(p.weights[i]); i == 0 || now != dead) {
        factor = gptq_factor(p.moment, now, options_);
        dead = std::move(now);
      }
      Matrix q(p.weights[i].rows(), p.weights[i].columns());
      gptq(p.weights[i], factor, p.grids[i], options_, q, threads);
      SolvedLinear linear = solved(p, i, std::move(q), threads);
      linear.report.dead_columns = factor.dead_columns;
      linear.report.fell_back = factor.fell_back;
      if (factor.fell_back)
        linear.report.note = fmt::format(
            "the Hessian is not positive definite with damping {}: rounded to nearest instead", options_.damping);
      p.solution.linears.push_back(std::move(linear));
    }
    return std::move(p.solution);
  }

 private:
  ScaleSearch search_;
  GptqOptions options_;
};

}  // namespace

std::shared_ptr<const Method> make_gptq(const Settings& settings) {
  settings.accept({"grid", "order", "damp", "block"});
  const bool mr = settings.base() == "mr_gptq";
  GptqOptions options;
  options.order =
      settings.choice("order", mr ? "act" : "index", {"index", "act"}) == "act" ? ColumnOrder::act : ColumnOrder::index;
  options.damping = settings.number("damp", options.damping, 0, 1e6);
  options.block = static_cast<std::size_t>(settings.number("block", 128, 1, 1 << 20));
  return std::make_shared<Gptq>(settings.grid(mr ? ScaleSearch::mse : ScaleSearch::absmax), options);
}

}  // namespace lowbit::weights
