// KVLinC's harness: the generator, errors against slow definitions, average bits from bytes, tensors of a file.
#include <fmt/format.h>

#include <cmath>

#include "experiments/core/plan.hpp"
#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/match.hpp"
#include "experiments/papers/kvlinc/tables.hpp"
#include "formats/block.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using namespace lowbit::kvlinc;

namespace {

double mean_of(ConstRows rows, std::size_t c) {
  double sum = 0;
  for (std::size_t t = 0; t < rows.rows; ++t) sum += rows.row(t)[c];
  return sum / static_cast<double>(rows.rows);
}

}  // namespace

TEST_CASE("drawn keys have their outlier pairs, RoPE and offsets", "[kvlinc]") {
  for (const std::size_t d : {64ul, 128ul}) {
    const Head head = synthetic_head(d, 1024, 16, Rng(3));
    std::size_t first = 0, second = 0;
    for (std::size_t c = 0; c < d; ++c) {
      const bool outlier = std::abs(mean_of(head.k_pre, c)) > 5.5;  // +-U(6, 9); others are .8 N
      const bool slow = c >= d / 2 - d / 8 && c < d / 2, partner = c >= d - d / 8;
      CHECK((!outlier || slow || partner));
      first += outlier && slow;
      second += outlier && partner;
    }
    CHECK(first == std::max<std::size_t>(2, d / 32));
    CHECK(second <= first);
    // the first position is not turned, all others keep the length of each pair
    for (std::size_t c = 0; c < d; ++c) CHECK(head.k.view().row(0)[c] == head.k_pre.view().row(0)[c]);
    for (std::size_t c = 0; c < d / 2; ++c) {
      const auto pair = [&](const Matrix& m) { return std::hypot(m.view().row(700)[c], m.view().row(700)[c + d / 2]); };
      CHECK(pair(head.k) == Approx(pair(head.k_pre)).epsilon(1e-5));
    }
    CHECK(head.first_query() == 1008);
  }
}

TEST_CASE("drawn values: spread of tokens and heavy entries", "[kvlinc]") {
  // E x^2 = E f^2 (1 + .01 * 15) + .09 with f = exp(.3 N): E f^2 = exp(2 * .09)
  double sum = 0, n = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const Head head = synthetic_head(64, 2048, 1, Rng(seed));
    for (std::size_t i = 0; i < 2048 * 64; ++i) sum += head.v.data()[i] * static_cast<double>(head.v.data()[i]), ++n;
  }
  CHECK(sum / n == Approx(std::exp(0.18) * 1.15 + 0.09).epsilon(0.03));
}

TEST_CASE("errors follow their definitions", "[kvlinc]") {
  const std::size_t d = GENERATE(64, 24, 40);  // also where lanes of 16 do not divide it
  const std::size_t window = GENERATE(0, 1, 7, 290, 300);
  CAPTURE(d, window);
  Head head = synthetic_head(d, 300, 20, Rng(5));
  head.window = window;
  const Attention a = attention(head, head.k, head.v);
  for (const std::size_t i : {0ul, 19ul}) {  // in double, query by query
    std::vector<double> w;
    double sum = 0;
    const std::size_t own = head.first_query() + i, first = window == 0 || own < window ? 0 : own + 1 - window;
    for (std::size_t t = first; t <= own; ++t) {
      double logit = 0;
      for (std::size_t c = 0; c < d; ++c)
        logit += static_cast<double>(head.q[0].view().row(i)[c]) * head.k.view().row(t)[c];
      w.push_back(std::exp(logit / std::sqrt(static_cast<double>(d))));
      sum += w.back();
    }
    for (std::size_t c = 0; c < d; ++c) {
      double y = 0;
      for (std::size_t t = 0; t < w.size(); ++t) y += w[t] / sum * head.v.view().row(first + t)[c];
      CHECK(a.output[0].view().row(i)[c] == Approx(y).margin(1e-5));
    }
    for (std::size_t t = 0; t < 300; ++t)
      if (t < first || t > own) CHECK(a.weights[0][i * 300 + t] == 0);
  }
  Matrix twice(300, d);
  for (std::size_t i = 0; i < 300 * d; ++i) twice.data()[i] = 2 * head.v.data()[i];
  CHECK(relative_error(head.v, twice) == Approx(1));
  CHECK(attention_errors(a, attention(head, head.k, twice)).output == Approx(1).epsilon(1e-5));
  CHECK(attention_errors(a, attention(head, head.k, twice)).weights == 0);
}

TEST_CASE("a method's packed cache gives what its schemes give", "[kvlinc]") {
  const Head head = synthetic_head(64, 512, 16, Rng(7));
  kv::MethodOptions options;
  options.v_group = 64;
  const Kept kivi = keep(head, "kivi", options), linc = keep(head, "kvlinc", options);
  const Scheme k = apply_scheme(head.k, "raw_channel", min_format(2, 128)),
               v = apply_scheme(head.v, "raw_token", min_format(2, 64)),
               rotated = apply_scheme(head.v, "had_token", min_format(2, 64));
  CHECK(relative_error(k.rows, kivi.k) == 0);
  CHECK(relative_error(v.rows, kivi.v) == 0);
  CHECK(relative_error(rotated.rows, linc.v) == 0);
  CHECK(relative_error(head.k, keep(head, "fp", options).k) == 0);
  // GEAR-L repairs its base, GEAR more than that; exact outliers do not disturb the rest
  options.group = 64;
  const double base = relative_error(head.k, keep(head, "kivi", options).k),
               low = relative_error(head.k, keep(head, "gear_l", options).k),
               both = relative_error(head.k, keep(head, "gear", options).k);
  CHECK(low < base);
  CHECK(both < low);
}

TEST_CASE("a measured maximum takes the place of the tensor's own", "[kvlinc]") {
  const Head head = synthetic_head(64, 256, 16, Rng(7));
  const Format nv = parse_format("nvfp4");
  for (const std::string scheme : {"raw_token", "raw_channel"}) {
    float most = 0;
    for (std::size_t i = 0; i < 256 * 64; ++i) most = std::max(most, std::abs(head.fit_k.data()[i]));
    QuantizeContext context;
    context.tensor_amax = most;
    Matrix expected(256, 64);
    model::copy_rows(head.k.view(), expected);
    fake_quantize(nv, Layout({256, 64}, scheme == "raw_token" ? -1 : 0), expected.data(), expected.data(), context);
    const Scheme fixed = apply_scheme(head.k, scheme, nv, &head.fit_k);
    CHECK(relative_error(expected, fixed.rows) == 0);
    CHECK(relative_error(expected, apply_scheme(head.k, scheme, nv).rows) > 0);
  }
}

TEST_CASE("average bits are those of the bytes held", "[kvlinc]") {
  const Experiment* figure = find_experiment("kvlinc/average_bits");
  REQUIRE(figure);
  const auto bits = [&](const char* method) {
    return evaluate(*figure, {{"setting", "published"}, {"cache", method}, {"queries", 2}}).scalar("stored_bits");
  };
  // 2 + 32/128 bits a sealed element; keys hold 128 open tokens, values 129, of 8192; 16 bits each
  CHECK(bits("kivi") == Approx(2.25 + 13.75 * (128 + 129) / 2 / 8192).epsilon(1e-12));
  CHECK(bits("kvlinc") == Approx(2.25 + 13.75 * 128 / 8192).epsilon(1e-12));
  // 256 x 128 + 256 numbers of 16 bits beside 2 x 8192 x 128 elements
  CHECK(bits("kvlinc_d256") == Approx(2.25 + 13.75 * 128 / 8192 + 16.0 * 256 * 129 / (2 * 8192 * 128)).epsilon(1e-12));
  // rank 4: factors of 8064 + 128 rows, 16 bits, for keys and for values
  CHECK(bits("gear_l") == Approx(2.25 + 13.75 * 128 / 8192 + 16.0 * 4 * (8064 + 128) / (8192 * 128)).epsilon(1e-12));
}

TEST_CASE("heads of the committed sample", "[kvlinc]") {
  const TensorFile file("sample");
  CHECK(file.names().size() == 9);
  CHECK(file.head_dim() == 64);
  const Head head = file.load("layer-15.head-2", 100);
  CHECK(head.tokens() == 512);
  CHECK(head.q.size() == 3);
  CHECK(head.q[0].rows() == 100);
  CHECK(head.fit_k.rows() == 0);
  // turned back and forth
  const auto positions = head.positions();
  Matrix k(512, 64);
  model::copy_rows(head.k_pre.view(), k);
  model::Rope::apply(k, head.rope->table(positions.data(), 512));
  CHECK(relative_error(head.k, k) < 1e-6);
  CHECK(test::refusal_of([&] { file.load("layer-7.head-0", 10); }).names("layer-7.head-0"));
}

TEST_CASE("nothing is measured on the tokens of a file that tables are fitted to", "[kvlinc]") {
  const TensorFile file("sample");
  const Head whole = file.load("layer-15.head-2", 100), half = file.load("layer-15.head-2", 100, true);
  CHECK(half.tokens() == 256);
  CHECK(half.first_position == 256);
  CHECK(half.positions().front() == 256);
  CHECK(half.positions().back() == 511);
  CHECK(half.first_query() == 156);
  const auto same = [](model::ConstRows a, model::ConstRows b) { return relative_error(a, b) == 0; };
  CHECK(same(whole.q[1], half.q[1]));
  CHECK(same(whole.k.view().slice(256, 256), half.k));
  CHECK(same(whole.k_pre.view().slice(256, 256), half.k_pre));
  CHECK(same(whole.v.view().slice(256, 256), half.v));
  CHECK(same(whole.k.view().slice(0, 256), half.fit_k));
  CHECK(same(whole.k_pre.view().slice(0, 256), half.fit_k_pre));
  CHECK(same(whole.v.view().slice(0, 256), half.fit_v));
  // keys that are kept before RoPE come back at their own positions
  kv::MethodOptions options;
  options.bits = 8;
  CHECK(relative_error(half.k, keep(half, "kivi_pre", options).k) < 0.01);
  CHECK(half.calibration().k.rows == 256);
}

TEST_CASE("ratios and medians of heads", "[kvlinc]") {
  const Row ratio = ratio_row("r", {1, 2, 3}, {2, 4, 6}, Rng(1));
  CHECK(ratio.ours == 0.5);
  REQUIRE(ratio.interval);
  CHECK(ratio.interval->low == 0.5);
  CHECK(ratio.interval->high == 0.5);
  CHECK(median_row("m", {5, 1, 3}, Rng(1)).ours == 3);
  CHECK(std::isnan(median_row("m", {}, Rng(1)).ours));
}

TEST_CASE("bands are those of the settings that they were made with", "[kvlinc]") {
  const Experiment* figure = find_experiment("kvlinc/keys");
  REQUIRE(figure);
  const auto judged = [&](const std::vector<Setting>& settings) {
    const Plan plan = make_plan(figure->declared(), 1, settings);
    std::vector<std::vector<double>> outputs;
    for (const auto& output : figure->declared().outputs)
      outputs.emplace_back(plan.point_count() * plan.values_per_point(output), 1.0);
    std::size_t count = 0;
    for (const Row& row :
         complete_rows("keys", figure->declared().rows(Results(plan, outputs)), figure->declared().references)) {
      const Verdict verdict = verdict_of(row);
      count += verdict == Verdict::within || verdict == Verdict::outside;
      CHECK((row.judged || row.note.find("no verdict: ") != std::string::npos));
    }
    return count;
  };
  CHECK(judged({}) == figure->declared().references.size());
  CHECK(judged({{"seeds", "100", "test"}}) == figure->declared().references.size());
  CHECK(judged({{"seeds", "8", "test"}}) == 0);
  CHECK(judged({{"bits", "4", "test"}}) == 0);
  CHECK(judged({{"length", "256", "test"}}) == 0);
}

TEST_CASE("an ordering within two standard errors has no verdict", "[kvlinc]") {
  const std::vector<double> zero(4), apart{-1, -1.1, -0.9, -1}, near{-1, 1.5, 0.5, -2};
  const Difference d = paired_difference(apart, zero);
  CHECK(d.mean == Approx(-1));
  CHECK(d.error == Approx(std::sqrt(0.02 / 3 / 4)));  // squares .01 + .01 over n - 1, then over n
  for (const auto& [values, verdict] : {std::pair{apart, Verdict::within}, std::pair{near, Verdict::no_band}}) {
    Row row = sampled_row("a against b", -0.25, {-1, 0});
    judge_if_resolved(paired_difference(values, zero), row);
    CHECK(verdict_of(complete_rows("f", {row}, {{.quantity = "a against b", .band = Interval{-100, 0}}})[0]) ==
          verdict);
  }
}

TEST_CASE("stored bits are those of the bytes held while the last token attends", "[kvlinc]") {
  // the same as decoding token by token gives them (average bits): blocks of 128 that the last token fills are open yet
  const Experiment* figure = find_experiment("kvlinc/average_bits");
  REQUIRE(figure);
  for (const char* method : {"kivi", "quarot", "kvlinc", "gear_l"}) {
    CAPTURE(method);
    const double decoded =
        evaluate(*figure, {{"setting", "model"}, {"cache", method}, {"queries", 2}}).scalar("stored_bits");
    CHECK(stored_bits(method, {}, {1, 64}, 2048, kv::View::decode) == Approx(decoded).epsilon(1e-12));
  }
  const double sealed = 2 + 16.0 / 128 + 16.0 / 64;
  CHECK(stored_bits("kvlinc", {}, {1, 64}, 2048, kv::View::decode) == Approx(sealed + (16 - sealed) * 128 / 2048));
  CHECK(stored_bits("kvlinc", {}, {1, 64}, 2048, kv::View::all) == Approx(sealed));
  CHECK(state_bits(64, 64, 2048) == Approx(16.0 * 64 * 65 / (2 * 2048 * 64)));
}

TEST_CASE("average bits at equal bits say what they reach", "[kvlinc]") {
  const Experiment* figure = find_experiment("kvlinc/average_bits");
  REQUIRE(figure);
  const auto matched = [&](const char* method) {
    return evaluate(*figure,
                    {{"setting", "model"}, {"cache", method}, {"queries", 2}, {"match", "bits"}, {"features", 64}});
  };
  for (const char* method : {"kivi", "kvlinc", "gear_l"}) {
    const Record r = matched(method);
    CHECK(std::abs(r.scalar("stored_bits") - r.scalar("matched_bits")) <= kMatchedBits);
  }
  const Record r = matched("kvquant");  // has no choice
  CHECK(match_note(r.scalar("stored_bits"), r.scalar("matched_bits")).find("not matched") != std::string::npos);
  CHECK(choice_note("kvquant", 128, 128, 4).empty());
}

TEST_CASE("groups or ranks are chosen for equal bits", "[kvlinc]") {
  const kv::LayerShape shape{1, 64};
  kv::MethodOptions options;
  options.residual = 0;
  // without open tokens: 2 + 32 / G of keys and of values
  const auto all = kv::View::all;
  CHECK(stored_bits("kivi", options, shape, 1024, all) == Approx(2 + 16.0 / 128 + 16.0 / 64).epsilon(1e-12));
  for (const double target : {2.375, 2.5, 3.0}) {
    const auto own = match_bits("kivi", options, shape, 1024, target, all);
    CHECK(std::abs(stored_bits("kivi", own, shape, 1024, all) - target) <= kMatchedBits);
  }
  options.group = 64;
  // rank r costs 16 r (1 / 64 + 1 / 1024) bits a value
  const double base = 2 + 32.0 / 64;
  const auto gear = match_bits("gear_l", options, shape, 1024, base + 16 * 7 * (1.0 / 64 + 1.0 / 1024), all);
  CHECK(gear.rank == 7);
  options.residual = 128;
  for (const double target : {2.0, 5.0})
    CHECK(128 % match_bits("kvlinc", options, shape, 1024, target, kv::View::decode).group == 0);
  CHECK(match_bits("kvquant", options, shape, 256, 9, all).group == 64);  // has neither
}

TEST_CASE("weighting by gradients asks for gradients", "[kvlinc]") {
  const Head head = synthetic_head(64, 256, 16, Rng(7));
  CHECK(test::refusal_of([&] { keep(head, "kvquant_fisher", {}); }).names("no gradients of a model's loss"));
  CHECK(relative_error(head.k, keep(head, "kvquant_qnorm", {}).k) < 1);
}
