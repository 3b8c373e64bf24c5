#include "experiments/core/plan.hpp"

#include "formats/error.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

Experiment base() {
  return Experiment{"plan_paper/fig"}
      .param("trials", 8, "t", at_least(1))
      .param("mode", "fast", "m", one_of({"fast", "slow"}))
      .axis("kappa", linspace(1, 3, 3), "1", "k")
      .axis(
          "group",
          [](const Params& p) {
            return integers({p.integer("trials"), 32});
          },
          "1", "g")
      .output("y", "1", "y")
      .point([](const Point&, Rng) {
        return Record{{"y", 0}};
      });
}

Plan plan_of(const Experiment& e, const std::vector<Setting>& settings, std::uint64_t seed = 1) {
  return make_plan(e.declared(), seed, settings);
}

}  // namespace

TEST_CASE("later settings win, axes may follow from parameters", "[plan]") {
  const Experiment e = base();
  const Plan plan = plan_of(e, {{"kappa", "1", "a"}, {"kappa", "2,5", "b"}, {"trials", "4", "c"}});
  CHECK(plan.config_text() == "[fig]\ntrials = 4\nmode = fast\nkappa = 2,5\ngroup = 4,32\n");
  CHECK(plan.point_count() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(plan.number(plan.position(i)) == i);
}

TEST_CASE("settings that are not accepted are named with their place", "[plan]") {
  const Experiment e = base();
  CHECK_THROWS_WITH(
      plan_of(e, {{"kapa", "1", "--set"}}),
      "--set: plan_paper/fig has no axis or parameter 'kapa'; did you mean 'kappa'? accepted: kappa, group, "
      "trials, mode");
  CHECK_THROWS_AS(plan_of(e, {{"trials", "0", "--set"}}), Error);
  CHECK_THROWS_AS(plan_of(e, {{"trials", "1,2", "--set"}}), Error);  // a parameter has one value
  CHECK_THROWS_AS(plan_of(e, {{"mode", "quick", "--set"}}), Error);
  CHECK_THROWS_AS(split_setting("kappa", "--set"), Error);
  CHECK_THROWS_AS(split_setting("=1", "--set"), Error);
  Experiment checked = base();
  checked.validate([](const Params& p) {
    if (p.integer("trials") == 7) throw Error("trials: 7 is not accepted");
  });
  CHECK_THROWS_AS(plan_of(checked, {{"trials", "7", "--set"}}), Error);
}

TEST_CASE("the hash names the configuration", "[plan]") {
  const Experiment e = base();
  const std::string hash = plan_of(e, {}).config_hash();
  CHECK(plan_of(e, {{"kappa", "1:3:1", "x"}}).config_hash() == hash);  // the same values
  CHECK(plan_of(e, {{"kappa", "1,3,2", "x"}}).config_hash() != hash);
  CHECK(plan_of(e, {{"trials", "9", "x"}}).config_hash() != hash);
  CHECK(plan_of(e, {}, 2).config_hash() != hash);
}

TEST_CASE("wrong declarations end the program at its start", "[plan]") {
  Experiment e = base();
  SECTION("reserved") {
    e.param("seed", 1, "s");
  }
  SECTION("twice") {
    e.output("kappa", "1", "k");
  }
  SECTION("case") {
    e.output("QSNR", "1", "k");
  }
  SECTION("unit") { e.output("z", "seconds", "k"); }
  SECTION("dim") {
    e.output("z", "1", "z", {"nowhere"});
  }
  SECTION("draws") {
    e.draws_vary_with({"nowhere"});
  }
  SECTION("shared") {
    e.shared("s", {"nowhere"}, [](const Point&, Rng) { return 1; });
  }
  SECTION("quick") {
    e.quick("kapa=1");
  }
  SECTION("full") {
    e.full("trials=none");
  }
  SECTION("references") {
    e.reference({.quantity = "q"}).reference({.quantity = "q"});
  }
  CHECK_THROWS_AS(check_declaration(e.declared()), std::logic_error);
}

TEST_CASE("a sound declaration is accepted", "[plan]") {
  CHECK_NOTHROW(check_declaration(base().declared()));
}

TEST_CASE("equal coordinates give equal random streams, others different ones", "[plan]") {
  Experiment e = base();
  e.draws_vary_with({"kappa"});
  const Plan plan = plan_of(e, {});
  CHECK(plan.point_rng({0, 0}).word64() == plan.point_rng({0, 1}).word64());
  CHECK(plan.point_rng({0, 0}).word64() != plan.point_rng({1, 0}).word64());
  CHECK(plan_of(e, {{"kappa", "9,1", "x"}}).point_rng({1, 0}).word64() == plan.point_rng({0, 0}).word64());
  CHECK(plan_of(e, {}, 2).point_rng({0, 0}).word64() != plan.point_rng({0, 0}).word64());
}
