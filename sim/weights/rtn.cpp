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
    Prepared p = prepare(group, statistics, target, search_, threads);
    for (std::size_t i = 0; i < p.weights.size(); ++i) p.solution.linears.push_back(rounded(p, i, threads));
    return std::move(p.solution);
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
