#include "experiments/core/report.hpp"

#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/core/plan.hpp"
#include "experiments/core/report_print.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

TEST_CASE("verdicts", "[report]") {
  Row row{.quantity = "q", .ours = 2};
  CHECK(verdict_of(row) == Verdict::no_band);
  row.band = Interval{1, 2};
  CHECK(verdict_of(row) == Verdict::within);  // closed
  row.band = Interval{2.5, 3};
  CHECK(verdict_of(row) == Verdict::outside);
  row.ours = std::nan("");
  CHECK(verdict_of(row) == Verdict::not_run);
}

TEST_CASE("rows take band and source from the reference of their quantity", "[report]") {
  const std::vector<Reference> references = {
      {.quantity = "a", .value = 1.5, .source = "Table 1", .band = Interval{1, 2}, .unit = "dB", .note = "read off"},
      {.quantity = "b", .value = 7, .source = "Table 5"}};
  const auto rows = complete_rows("fig", {{.quantity = "a", .ours = 1, .exact = true}}, references);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].figure == "fig");
  CHECK(rows[0].unit == "dB");
  CHECK(*rows[0].reference == 1.5);
  CHECK(rows[0].note == "read off");
  CHECK(verdict_of(rows[0]) == Verdict::within);
  CHECK(rows[1].quantity == "b");  // a published number without a row of ours is not forgotten
  CHECK(verdict_of(rows[1]) == Verdict::not_run);
}

TEST_CASE("a row that is not to be judged keeps its number and loses the band", "[report]") {
  const std::vector<Reference> references = {{.quantity = "a", .value = 1.5, .band = Interval{1, 2}}};
  const auto rows = complete_rows("fig", {{.quantity = "a", .ours = 5, .exact = true, .judged = false}}, references);
  CHECK(verdict_of(rows[0]) == Verdict::no_band);
  CHECK(!rows[0].band);
  CHECK(rows[0].ours == 5);
  CHECK(*rows[0].reference == 1.5);
}

TEST_CASE("a number without interval must be exact, a quantity stands once", "[report]") {
  CHECK_THROWS_AS(complete_rows("fig", {{.quantity = "a", .ours = 1}}, {}), std::logic_error);
  CHECK_THROWS_AS(complete_rows("fig", {{.quantity = "a"}, {.quantity = "a"}}, {}), std::logic_error);
  CHECK_NOTHROW(complete_rows("fig", {{.quantity = "a"}}, {}));  // not run
}

TEST_CASE("results are picked by coordinates", "[report]") {
  const Experiment e = Experiment{"report_paper/fig"}
                           .axis("k", integers({1, 2, 3}), "1", "k")
                           .axis("f", texts({"x", "y"}), "", "f")
                           .dim("d", indices(2), "1", "d")
                           .output("v", "1", "v", {"d"})
                           .point([](const Point&, Rng) { return Record(); });
  const Plan plan = make_plan(e.declared(), 1, {});
  std::vector<double> v(12);
  for (std::size_t i = 0; i < 12; ++i) v[i] = static_cast<double>(i);
  const std::vector<std::vector<double>> outputs = {v};
  const Results r(plan, outputs);
  CHECK(r.at("v", {{"k", 2}, {"f", "y"}, {"d", 1}}) == 7);
  CHECK(r.along("v", "k", {{"f", "y"}, {"d", 0}}) == std::vector<double>{2, 6, 10});
  CHECK(r.along("v", "d", {{"k", 3}, {"f", "x"}}) == std::vector<double>{8, 9});
  CHECK(std::isnan(r.at("v", {{"k", 9}, {"f", "y"}, {"d", 1}})));
  CHECK(r.along("v", "k", {{"f", "y"}, {"d", 5}}).empty());
  CHECK_THROWS_AS(r.at("v", {{"k", 1}, {"d", 0}}), std::logic_error);  // f is missing
  CHECK_THROWS_AS(r.at("v", {{"k", 1}, {"f", "x"}, {"d", 0}, {"g", 1}}), std::logic_error);
  CHECK_THROWS_AS(r.at("w", {}), std::logic_error);
}

TEST_CASE("bootstrap intervals", "[bootstrap]") {
  std::vector<double> values(400);
  Rng rng(7);
  for (double& v : values) v = rng.normal();
  const Interval i = bootstrap_mean(values, Rng(1, "boot"), 2000);
  double mean = 0, squares = 0;
  for (double v : values) mean += v / 400;
  for (double v : values) squares += (v - mean) * (v - mean) / 399;
  const double half = 1.96 * std::sqrt(squares / 400);  // normal theory
  CHECK(i.low == Approx(mean - half).margin(0.15 * half));
  CHECK(i.high == Approx(mean + half).margin(0.15 * half));
  const Interval again = bootstrap_mean(values, Rng(1, "boot"), 2000);
  CHECK(again.low == i.low);
  CHECK(std::isnan(bootstrap_mean({}, Rng(1)).low));
  const std::vector<double> twos(50, 2.0), ones(50, 1.0);
  const Interval ratio = bootstrap_ratio(twos, ones, Rng(1), 50);
  CHECK(ratio.low == 2);
  CHECK(ratio.high == 2);
}

TEST_CASE("quantiles and proportions", "[bootstrap]") {
  CHECK(quantile({3, 1, 2}, 0.5) == 2);
  CHECK(quantile({1, 2}, 0.25) == 1.25);
  CHECK(quantile({1, 2}, 1) == 2);
  CHECK(std::isnan(quantile({}, 0.5)));
  const Interval w = wilson(5, 10);  // Wilson (1927): 0.2366, 0.7634
  CHECK(w.low == Approx(0.2366).margin(5e-5));
  CHECK(w.high == Approx(0.7634).margin(5e-5));
  CHECK(wilson(0, 10).low == 0);
}

TEST_CASE("CSV fields are quoted where they must be", "[report]") {
  CHECK(csv_field("plain") == "plain");
  CHECK(csv_field("a,\"b\"") == "\"a,\"\"b\"\"\"");
}
