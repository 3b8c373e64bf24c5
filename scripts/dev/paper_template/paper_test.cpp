#include <cmath>

#include "experiments/core/experiment.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

TEST_CASE("@SLUG@/rounding: the error of one point follows step^2 / 12", "[@SLUG@]") {
  const Experiment* rounding = find_experiment("@SLUG@/rounding");
  REQUIRE(rounding);
  const Record record = evaluate(*rounding, {{"bits", 4}, {"trials", 4096}});
  const double theory = std::ldexp(1.0, -8) / 12;
  CHECK(record.scalar("mse") == Approx(theory).epsilon(0.1));
}
