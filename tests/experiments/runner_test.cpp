#include "experiments/core/runner.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>

#include "experiments/core/shared_states.hpp"
#include "experiments/core/signals.hpp"
#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;
using lowbit::test::TemporaryFolder;

namespace {

std::atomic<int> computed_points{0};
std::atomic<int> made_states{0};
std::atomic<int> stop_after{-1};

std::vector<double> make_draws(const Point& p, Rng rng) {
  ++made_states;
  std::vector<double> x(static_cast<std::size_t>(p.integer("count")));
  for (double& v : x) v = rng.normal() * p.real("sigma");
  return x;
}

Record compute(const Point& p, Rng rng) {
  if (++computed_points == stop_after) set_stop_signal(SIGTERM);
  const auto& x = p.shared<std::vector<double>>("draws");
  double sum = rng.uniform();
  for (double v : x) sum += std::pow(std::fabs(v), static_cast<double>(p.integer("power")));
  std::vector<double> parts(p.coordinates("part").size(), sum);
  parts.back() = static_cast<double>(p.index("name"));
  Record record;
  record.set("sum", sum).set("parts", parts);
  return record;
}

/// 3 x 2 x 2 points; states shared by the points of one sigma; odd powers of "b" do not apply.
Experiment example() {
  return Experiment{"test_paper/sums"}
      .paper("test", "Fig. 0", "Sums of powers")
      .param("count", 10, "draws", at_least(1))
      .axis("power", integers({1, 2, 3}), "1", "power")
      .axis("sigma", numbers({0.5, 1.5}), "1", "scale")
      .axis("name", texts({"a", "b"}), "", "a name")
      .dim("part", indices(2), "1", "part")
      .draws_vary_with({"sigma"})
      .shared("draws", {"sigma"}, make_draws)
      .output("sum", "1", "sum of |x|^power")
      .output("parts", "1", "parts", {"part"})
      .where([](const Point& p) { return !(p.text("name") == "b" && p.integer("power") == 3); })
      .point(compute)
      .reference({.quantity = "first", .value = 3, .source = "Table 1", .band = Interval{0, 1e9}})
      .reference({.quantity = "unknown", .value = 1, .source = "Table 2"})
      .rows([](const Results& r) {
        return std::vector<Row>{
            {.quantity = "first", .ours = r.at("sum", {{"power", 1}, {"sigma", 0.5}, {"name", "a"}}), .exact = true}};
      });
}
LOWBIT_REGISTER(example);

const Declaration& declared() {
  return find_experiment("test_paper/sums")->declared();
}

Plan plan(const std::vector<Setting>& settings = {}, std::uint64_t seed = 1) {
  return make_plan(declared(), seed, settings);
}

RunOptions options(const TemporaryFolder& folder, int threads = 1) {
  RunOptions o;
  o.folder = folder.path();
  o.threads = threads;
  o.reproducible = true;
  return o;
}

std::vector<std::byte> run_bytes(const RunOptions& o, const Plan& p) {
  const RunResult result = run_plan(p, o);
  REQUIRE(result.outcome == Outcome::computed);
  return store::read_whole(result.path);
}

ExitCode code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.code();
  }
  return ExitCode::ok;
}

}  // namespace

TEST_CASE("a run gives the same bytes for any number of threads", "[runner]") {
  const TemporaryFolder one;
  const auto expected = run_bytes(options(one, 1), plan());
  for (int threads : {2, 3, 7, 16}) {
    const TemporaryFolder other;
    CHECK(run_bytes(options(other, threads), plan()) == expected);
  }
}

TEST_CASE("shards merge to the bytes of the whole run", "[runner][merge]") {
  const TemporaryFolder whole;
  const auto expected = run_bytes(options(whole), plan());
  for (std::size_t count : {2u, 3u, 5u, 12u, 20u}) {  // 20: more shards than points
    const TemporaryFolder folder;
    std::vector<std::string> files;
    for (std::size_t i = 0; i < count; ++i) {
      RunOptions o = options(folder, 2);
      o.shard = {i, count};
      files.push_back(run_plan(plan(), o).path);
    }
    std::reverse(files.begin(), files.end());
    merge_results(files, folder / "merged.h5", false, true, {});
    CHECK(store::read_whole(folder / "merged.h5") == expected);
  }
}

TEST_CASE("merge refuses what does not belong together", "[runner][merge]") {
  const TemporaryFolder folder;
  const auto shard = [&](std::size_t i, std::size_t n, std::uint64_t seed, const std::string& sub) {
    RunOptions o = options(folder);
    o.folder = folder / sub;
    o.shard = {i, n};
    return run_plan(plan({}, seed), o).path;
  };
  const std::string a = shard(0, 2, 1, "x"), b = shard(1, 2, 1, "x"), other_seed = shard(1, 2, 2, "y"),
                    third = shard(1, 3, 1, "z");
  const auto merge = [&](const std::vector<std::string>& files) {
    return code_of([&] { merge_results(files, folder / "m.h5", false, true, {}); });
  };
  CHECK(merge({a}) == ExitCode::bad_data);
  CHECK(merge({a, a}) == ExitCode::bad_data);
  CHECK(merge({a, other_seed}) == ExitCode::bad_data);
  CHECK(merge({a, third}) == ExitCode::bad_data);
  CHECK(merge({a, folder / "none.h5"}) == ExitCode::no_input);
  std::vector<std::byte> bytes = store::read_whole(b);
  bytes.resize(bytes.size() - 1);
  store::write_atomically(folder / "cut.h5", bytes, store::Overwrite::refuse);
  CHECK(merge({a, folder / "cut.h5"}) == ExitCode::bad_data);
  CHECK(merge({a, b}) == ExitCode::ok);
  CHECK(merge({a, b}) == ExitCode::cannot_create);  // m.h5 is there now
}

TEST_CASE("points that do not apply are marked and stay NaN", "[runner]") {
  const TemporaryFolder folder;
  run_plan(plan(), options(folder));
  const auto tree = read_result(folder / "test_paper/sums.h5");
  const auto& done = std::get<std::vector<std::uint8_t>>(tree.array("done")->data);
  const auto& sum = std::get<std::vector<double>>(tree.array("sum")->data);
  REQUIRE(done.size() == 12);
  for (std::size_t i = 0; i < 12; ++i) {
    const bool applies = !(i / 4 == 2 && i % 2 == 1);
    CHECK(done[i] == (applies ? 1 : 2));
    CHECK(std::isnan(sum[i]) == !applies);
  }
}

TEST_CASE("shared state is made once for each combination of its axes", "[runner]") {
  const TemporaryFolder folder;
  made_states = 0;
  run_plan(plan(), options(folder, 4));
  CHECK(made_states == 2);
}

TEST_CASE("draws depend on the axes that vary them, not on values added elsewhere", "[runner]") {
  const auto sum = [](const Coordinates& where) {
    return evaluate(*find_experiment("test_paper/sums"), where).scalar("sum");
  };
  const double base = sum({{"power", 2}, {"sigma", 0.5}});
  CHECK(sum({{"power", 2}, {"sigma", 0.5}, {"name", "b"}}) == base);
  CHECK(sum({{"power", 2}, {"sigma", 1.5}}) != base);
  const TemporaryFolder folder;
  run_plan(plan({{"sigma", "0.25,0.5,3", "test"}}), options(folder));
  const auto tree = read_result(folder / "test_paper/sums.h5");
  CHECK(std::get<std::vector<double>>(tree.array("sum")->data)[(1 * 3 + 1) * 2] == base);
}

TEST_CASE("nothing is overwritten unasked", "[runner]") {
  const TemporaryFolder folder;
  RunOptions o = options(folder);
  const auto bytes = run_bytes(o, plan());
  const std::string path = result_path(declared(), o);
  CHECK(code_of([&] { check_target(plan(), o); }) == ExitCode::cannot_create);
  CHECK(code_of([&] { run_plan(plan(), o); }) == ExitCode::cannot_create);
  o.resume = true;
  computed_points = 0;
  check_target(plan(), o);
  CHECK(run_plan(plan(), o).outcome == Outcome::reused);
  CHECK(computed_points == 0);
  CHECK(code_of([&] { check_target(plan({}, 2), o); }) == ExitCode::cannot_create);  // another configuration
  CHECK(store::read_whole(path) == bytes);
  o.force = true;
  CHECK(run_plan(plan({}, 2), o).outcome == Outcome::computed);
  CHECK(store::read_whole(path) != bytes);
}

TEST_CASE("a damaged result is neither reused nor replaced unasked", "[runner]") {
  const TemporaryFolder folder;
  RunOptions o = options(folder);
  std::vector<std::byte> bytes = run_bytes(o, plan());
  bytes.resize(bytes.size() / 2);
  const std::string path = result_path(declared(), o);
  store::write_atomically(path, bytes, store::Overwrite::replace);
  o.resume = true;
  CHECK(code_of([&] { check_target(plan(), o); }) == ExitCode::cannot_create);
  CHECK(store::read_whole(path) == bytes);
}

TEST_CASE("an interrupted run leaves no result and resumes to the same bytes", "[runner][journal]") {
  const TemporaryFolder whole, folder;
  const auto expected = run_bytes(options(whole), plan());
  RunOptions o = options(folder);
  computed_points = 0;
  stop_after = 4;
  CHECK(run_plan(plan(), o).outcome == Outcome::interrupted);
  set_stop_signal(0);
  stop_after = -1;
  CHECK(code_of([&] { read_result(result_path(declared(), o)); }) == ExitCode::no_input);
  CHECK(code_of([&] { check_target(plan(), o); }) == ExitCode::cannot_create);  // says --resume or --force
  o.resume = true;
  o.threads = 3;
  computed_points = 0;
  CHECK(run_bytes(o, plan()) == expected);
  CHECK(computed_points == 10 - 4);  // 12 points, 2 do not apply
  CHECK(folder.count() == 1);        // the journal is gone
}

TEST_CASE("a torn journal costs its last points only", "[journal]") {
  const TemporaryFolder folder;
  const std::string stem = folder / "fig";
  {
    Journal journal(stem, "key", 2);
    journal.append(3, {1, 2});
    journal.append(5, {3, std::nan("")});
  }
  CHECK(Journal(stem, "other", 2).load(10).empty());
  CHECK(Journal(stem, "key", 2).load(4).size() == 1);  // point 5 is not in this plan
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry.path()) - 1);
  const auto points = Journal(stem, "key", 2).load(10);
  REQUIRE(points.size() == 1);
  CHECK(points.at(3) == std::vector<double>{1, 2});
}

TEST_CASE("an error of a point names the point and leaves no result", "[runner]") {
  const TemporaryFolder folder;
  Experiment failing = example();
  failing.point([](const Point& p, Rng) -> Record {
    if (p.integer("power") == 2 && p.text("name") == "b") throw Error("no such thing", ExitCode::bad_data);
    return {{"sum", 1}};
  });
  const Plan p = make_plan(failing.declared(), 1, {});
  CHECK_THROWS_WITH(run_plan(p, options(folder)), lowbit::test::contains("power=2") &&
                                                      lowbit::test::contains("name=b") &&
                                                      lowbit::test::contains("no such thing"));
  CHECK(code_of([&] { read_result(folder / "test_paper/sums.h5"); }) == ExitCode::no_input);
}

TEST_CASE("programming mistakes in a point are internal errors", "[runner]") {
  const TemporaryFolder folder;
  Experiment wrong = example();
  SECTION("undeclared output") {
    wrong.point([](const Point&, Rng) { return Record{{"other", 1}}; });
  }
  SECTION("wrong size") {
    wrong.point([](const Point&, Rng) { return Record().set("parts", std::vector<double>{1}); });
  }
  SECTION("unknown name") {
    wrong.point([](const Point& p, Rng) { return Record{{"sum", p.real("nothing")}}; });
  }
  SECTION("wrong type of state") {
    wrong.point([](const Point& p, Rng) { return Record{{"sum", p.shared<double>("draws")}}; });
  }
  SECTION("state reads an axis it does not declare") {
    wrong.shared("sneaky", {}, [](const Point& p, Rng) { return p.real("sigma"); }).point([](const Point& p, Rng) {
      return Record{{"sum", p.shared<double>("sneaky")}};
    });
  }
  const Plan p = make_plan(wrong.declared(), 1, {});
  CHECK_THROWS_AS(run_plan(p, options(folder)), std::runtime_error);
}

TEST_CASE("an experiment that cannot run says so in its rows", "[runner]") {
  const TemporaryFolder folder;
  Experiment e = example();
  e.unavailable_when([](const Params&) { return "no model; get it with scripts/get-model"; });
  const Plan p = make_plan(e.declared(), 1, {});
  RunOptions o = options(folder);
  RunResult result = run_plan(p, o);
  CHECK(result.outcome == Outcome::not_run);
  const auto rows = result_rows(read_result(result.path));
  REQUIRE(rows.size() == 2);
  CHECK(verdict_of(rows[0]) == Verdict::not_run);
  CHECK(rows[0].note.find("get-model") != std::string::npos);
  o.resume = true;  // now it can: the file is computed and replaced
  check_target(plan(), o);
  CHECK(run_plan(plan(), o).outcome == Outcome::computed);
  CHECK(run_plan(p, o).outcome == Outcome::reused);  // and is kept when it cannot again
}

TEST_CASE("narrow outputs and experiments without axes", "[runner]") {
  const TemporaryFolder folder;
  const Experiment e =
      Experiment{"test_paper/single"}.output("x", "1", "x").narrow_output("y", "1", "y").point([](const Point&, Rng) {
        return Record{{"x", 0.1}, {"y", 0.1}};
      });
  const Plan p = make_plan(e.declared(), 1, {});
  const auto tree = read_result(run_plan(p, options(folder)).path);
  CHECK(tree.array("point")->is_coordinate());
  CHECK(std::get<std::vector<double>>(tree.array("x")->data).at(0) == 0.1);
  CHECK(std::get<std::vector<float>>(tree.array("y")->data).at(0) == 0.1f);
}

TEST_CASE("a result is held to the content of the files it read", "[runner][input]") {
  const TemporaryFolder folder;
  const auto fill = [&](const std::string& name, const std::string& text) { std::ofstream(folder / name) << text; };
  fill("data.txt", "one");
  const Experiment e = Experiment{"test_paper/reads"}
                           .param("data", "builtin", "a file", input_path())
                           .axis("k", integers({1, 2}), "1", "k")
                           .output("y", "1", "y")
                           .point([](const Point& p, Rng) {
                             return Record{{"y", p.real("k")}};
                           });
  const auto plan_for = [&](const std::string& data) { return make_plan(e.declared(), 1, {{"data", data, "test"}}); };
  CHECK(plan_for("builtin").inputs.empty());
  const Plan first = plan_for(folder / "data.txt");
  REQUIRE(first.inputs.size() == 1);
  CHECK(first.inputs[0].find("3 bytes") != std::string::npos);
  fill("copy.txt", "two");
  CHECK(plan_for(folder / "copy.txt").inputs != first.inputs);
  CHECK(plan_for(folder.path()).inputs.at(0).find("in 2 files") != std::string::npos);
  CHECK(first.config_text().find(first.inputs[0] + "\n") != std::string::npos);
  RunOptions o = options(folder);
  const RunResult result = run_plan(first, o);
  std::filesystem::remove(folder / "data.txt");  // a merge needs the file no more
  const Plan again = result_plan(e.declared(), result_head(read_result(result.path), result.path), result.path);
  CHECK(again.config_hash() == first.config_hash());
}
