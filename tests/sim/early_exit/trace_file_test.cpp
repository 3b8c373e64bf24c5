#include <cmath>
#include <cstdio>
#include <fstream>
#include <unistd.h>

#include "formats/error.hpp"
#include "sim/early_exit/generator.hpp"
#include "sim/early_exit/trace_file.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::early_exit;
using lowbit::test::contains;

namespace {

const char* const kGood =
    R"({"format":"rcp-trace-1","id":"a","end_token":{"text":"</think>","id":7},"vocab_size":100,"tok":[3,4],)"
    R"("rank":[50,1],"logp":[-6.5,-0.01],"end":{"natural":1,"think_tok":7,"content_tok":9,"ok":1}})";

std::optional<Problem> parse(std::string line, Trace& trace) {
  const std::size_t size = line.size();
  line.append(TraceParser::kPadding, ' ');
  TraceParser parser;
  return parser.parse(std::string_view(line.data(), size), trace);
}

/// kGood with one piece of text replaced; the problem that comes back, as "field: text".
std::string broken(const std::string& from, const std::string& to) {
  std::string line = kGood;
  const std::size_t at = line.find(from);
  REQUIRE(at != std::string::npos);
  line.replace(at, from.size(), to);
  Trace trace;
  const auto problem = parse(line, trace);
  return problem ? problem->field + ": " + problem->text : "";
}

struct TemporaryFile {
  std::string path = "/tmp/lowbit_trace_test." + std::to_string(::getpid());
  explicit TemporaryFile(const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
  ~TemporaryFile() { std::remove(path.c_str()); }
};

}  // namespace

TEST_CASE("a line of the trace format is read field by field", "[early_exit][trace_file]") {
  Trace t;
  REQUIRE_FALSE(parse(kGood, t));
  CHECK(t.id == "a");
  CHECK(t.end_token == "</think>");
  CHECK(t.end_token_id == 7);
  CHECK(t.tok == std::vector<std::int32_t>{3, 4});
  CHECK(t.rank == std::vector<std::int32_t>{50, 1});
  CHECK(t.logp == std::vector<double>{-6.5, -0.01});
  CHECK(t.end.natural);
  CHECK(t.end.think_tok == 7);
  CHECK(t.end.content_tok == 9);
  CHECK(t.end.ok == Outcome::right);
  CHECK(t.wait.empty());
  CHECK(t.k_rcp == 0);
}

TEST_CASE("every violated check names its field and value", "[early_exit][trace_file]") {
  CHECK_THAT(broken("[50,1]", "[0,1]"), contains("rank: ") && contains("0 is outside [1"));
  CHECK_THAT(broken("[50,1]", "[101,1]"), contains("rank[0] is 101") && contains("vocab_size 100"));
  CHECK_THAT(broken("-6.5", "0.5"), contains("logp: logp[0] is 0.5"));
  CHECK_THAT(broken("-6.5", "-3.9"), contains("above -ln(rank)"));  // ln 50 = 3.912
  CHECK(broken("-6.5", "-3.92").empty());
  CHECK(broken("-6.5", "null").empty());  // -inf
  CHECK_THAT(broken("-6.5", "\"x\""), contains("is not a number"));
  CHECK_THAT(broken("[3,4]", "[3,5]"), contains("sum of tok is 8, end.think_tok is 7"));
  CHECK_THAT(broken("[3,4]", "[3]"), contains("rank has 2 entries, tok has 1"));
  CHECK_THAT(broken("[3,4]", "[]"), contains("tok"));
  CHECK_THAT(broken("[3,4]", "[3,4.5]"), contains("4.5") && contains("not an integer"));
  CHECK_THAT(broken("[3,4]", "7"), contains("tok is not an array"));
  CHECK_THAT(broken("rcp-trace-1", "rcp-trace-2"), contains("accepted: 'rcp-trace-1'"));
  CHECK_THAT(broken("\"tok\"", "\"tic\""), contains("field 'tok' is missing"));
  CHECK_THAT(broken("\"rank\":[50,1],", "\"rank\":[50,1],\"rank\":[50,1],"), contains("'rank' is given twice"));
  CHECK_THAT(broken("\"natural\":1,", ""), contains("end.natural is missing"));
  CHECK_THAT(broken("\"ok\":1}}", "\"ok\":2}}"), contains("end.ok: 2 is outside"));
  CHECK_THAT(broken("}}", "},\"stage\":[2,1]}"), contains("stages never decrease"));
  CHECK(broken("}}", "},\"stage\":[0,1]}").empty());
  CHECK_THAT(broken("}}", "},\"k_rcp\":3}"), contains("k_rcp is 3"));
  CHECK_THAT(broken("}}", "},\"conf\":[0.5,1.5]}"), contains("conf[1] is 1.5"));
  CHECK_THAT(broken("}}", "},\"tok_rank\":[1,2,3]}"), contains("tok_rank has 3 entries"));
  CHECK_THAT(broken("}}", "}"), contains("no JSON"));
  CHECK_THAT(broken("\"a\"", "\"\xff\""), contains("no JSON"));
  CHECK_THAT(broken("}}", "}} {}"), contains("no JSON"));
}

TEST_CASE("a generated trace passes every check and survives the way through JSON", "[early_exit][trace_file]") {
  for (std::uint64_t id = 0; id < 50; ++id) {
    const Trace t = generate(profile("qwen3-8b"), 1, id).trace;
    REQUIRE_FALSE(check(t));
    Trace back;
    const auto problem = parse(to_json(t), back);
    REQUIRE_FALSE(problem);
    REQUIRE(to_json(back) == to_json(t));
    REQUIRE(back.logp == t.logp);
    REQUIRE(back.rank == t.rank);
    REQUIRE(back.ok == t.ok);
    REQUIRE(back.end.ok == t.end.ok);
    for (std::size_t k = 0; k < t.sentences(); ++k) {
      REQUIRE(back.answers[static_cast<std::size_t>(back.ans[k])] == t.answers[static_cast<std::size_t>(t.ans[k])]);
    }
  }
}

TEST_CASE("a bad line is counted, named and never stops the reading; threads and batches do not matter",
          "[early_exit][trace_file]") {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += i % 10 == 3 ? std::string("{\"format\":\n") : i % 10 == 7 ? std::string("\n") : std::string(kGood) + "\n";
  }
  text += std::string(3000, 'x') + "\n" + kGood;  // a line over the limit, then one without a newline
  text += "\n" + std::string(kGood).substr(0, 60);    // truncated last line
  const TemporaryFile file(text);
  std::vector<std::size_t> first_lines, first_bad;
  for (const int threads : {1, 2, 3}) {
    for (const std::size_t batch : {std::size_t{64}, std::size_t{500}, std::size_t{1} << 20}) {
      std::vector<std::size_t> lines, bad;
      ReadOptions options;
      options.threads = threads;
      options.batch = batch;
      options.max_line = 1000;
      const ReadReport report = read_traces(
          file.path, options, [&](Trace&&, std::size_t line) { lines.push_back(line); },
          [&](std::size_t line, const Problem&) { bad.push_back(line); });
      CHECK(report.lines == 43);
      CHECK(report.traces == 33);
      CHECK(report.bad == 6);
      CHECK(bad == std::vector<std::size_t>{4, 14, 24, 34, 41, 43});
      if (first_lines.empty()) first_lines = lines;
      CHECK(lines == first_lines);
    }
  }
}

TEST_CASE("missing, empty and unreadable trace files are errors", "[early_exit][trace_file]") {
  const auto read = [](const std::string& path) {
    read_traces(path, {}, [](Trace&&, std::size_t) {}, [](std::size_t, const Problem&) {});
  };
  const TemporaryFile empty("");
  CHECK_THROWS_WITH(read(empty.path), contains("is empty"));
  CHECK_THROWS_WITH(read("/nonexistent/x.jsonl"), contains("cannot open"));
  CHECK_THROWS_WITH(read("/tmp"), contains("is a folder"));
}
